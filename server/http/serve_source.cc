#include "server/http/serve_source.h"

#include "server/http/conditional.h"

namespace signum::http {
namespace {

void SetValidators(const Representation& representation, Response* response) {
  response->Set("ETag", representation.etag);
  response->Set("Cache-Control",
                representation.immutable ? "public, max-age=31536000, immutable" : "no-cache");
  if (!representation.repr_digest.empty()) {
    response->Set("Repr-Digest", representation.repr_digest);
  }
}

Response NotSatisfiable(const Request& request, uint64_t size) {
  Response response = ProblemStatus(
      416, "range_not_satisfiable",
      "header Range: no byte of it lies in the " + std::to_string(size) + " bytes of this resource",
      request.id);
  response.Set("Content-Range", "bytes */" + std::to_string(size));
  response.Set("Accept-Ranges", "bytes");
  return response;
}

}  // namespace

Response ServeSource(const Request& request, Representation representation) {
  const Verdict verdict = EvaluateConditions(request, representation.etag);
  if (verdict == Verdict::kPreconditionFailed) {
    return ProblemStatus(412, "precondition_failed",
                         "header If-Match: the resource is now " + representation.etag, request.id);
  }
  Response response;
  if (verdict == Verdict::kNotModified) {
    response.status = 304;
    SetValidators(representation, &response);
    return response;
  }
  const uint64_t size = representation.source->size();
  const RangeChoice choice = SelectRange(request, representation.etag, size);
  if (std::holds_alternative<Unsatisfiable>(choice)) return NotSatisfiable(request, size);
  SourceBody body{std::move(representation.source), 0, size};
  if (const auto* range = std::get_if<ByteRange>(&choice)) {
    response.status = 206;
    body.offset = range->offset;
    body.length = range->length;
    response.Set("Content-Range", "bytes " + std::to_string(range->offset) + "-" +
                                      std::to_string(range->offset + range->length - 1) + "/" +
                                      std::to_string(size));
  }
  response.Set("Content-Type", representation.content_type);
  response.Set("Accept-Ranges", "bytes");
  SetValidators(representation, &response);
  response.body = std::move(body);
  return response;
}

}  // namespace signum::http
