#include "client/registry_call.h"

#include <openssl/rand.h>

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "storage/base/clock.h"
#include "storage/base/name.h"
#include "storage/format/canonical_json.h"

namespace signum::client {

using nlohmann::json;

namespace {

// Creating a base or a version reads and checks every weight before it answers.
constexpr std::chrono::seconds kValidation{3600};

std::string RandomKey() {
  std::array<std::byte, 16> bytes{};
  RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  return HexEncode(bytes);
}

// What is no JSON is the registry's fault, not that of whoever asked.
Result<json> ReadAnswer(std::string_view what, const HttpResponse& response) {
  Result<json> document = ParseJson(response.body);
  if (document) return document;
  return Fail(Errc::kInternal, "bad_answer", std::string(what) + ": " + document.error().message);
}

Result<Alias> ParseAlias(const HttpResponse& response) {
  SIGNUM_ASSIGN(const json document, ReadAnswer("an alias", response));
  Alias out;
  SIGNUM_ASSIGN(out.version, JsonNumber(document, "version"));
  out.previous = JsonNumberOr(document, "previous", 0);
  out.etag = response.Header("etag");
  return out;
}

}  // namespace

Registry::Registry(RegistryOptions options) : options_(std::move(options)), http_(options_.tls) {}

Result<HttpResponse> Registry::Send(HttpRequest request) {
  SIGNUM_ASSIGN(request.url, ResolveUrl(options_.url, request.url));
  SIGNUM_ASSIGN(const std::string here, UrlOrigin(options_.url));
  SIGNUM_ASSIGN(const std::string there, UrlOrigin(request.url));
  // A URL in an answer may point at a cache elsewhere: that never sees the token.
  if (!options_.token.empty() && here == there) {
    request.headers.emplace_back("Authorization", "Bearer " + options_.token);
  }
  request.stop = options_.stop;
  retry_after_.reset();
  Result<HttpResponse> answer = http_.Send(request);
  if (answer) {
    retry_after_ = ParseRetryAfter(answer->Header("retry-after"), SystemClock().Now());
  }
  return answer;
}

Result<HttpResponse> Registry::SendRetrying(const Call& call) {
  Backoff backoff(call.patient ? options_.patience : options_.retry);
  HttpRequest request;
  request.method = call.method;
  request.url = call.path;
  request.headers = call.headers;
  request.body = call.body;
  request.timeout = call.timeout;
  request.max_body = call.max_body;
  if (!call.body.empty()) request.headers.emplace_back("Content-Type", "application/json");
  if (call.method != "GET" && call.method != "HEAD")
    request.headers.emplace_back("Idempotency-Key", RandomKey());
  while (true) {
    Result<HttpResponse> answer = Send(request);
    const bool same = answer && answer->status == 304 && call.conditional;
    if (answer && (answer->ok() || same)) return answer;
    Error error = answer ? ErrorFromResponse(*answer, call.method + " " + call.path)
                         : std::move(answer).error();
    if (!IsTransient(error)) return error;
    const std::optional<Millis> wait = backoff.Next(retry_after_);
    if (!wait || !SleepFor(*wait, options_.stop)) return error;
  }
}

Result<json> Registry::AnswerJson(const Call& call, const HttpResponse& response) {
  return ReadAnswer(call.path, response);
}

Result<json> Registry::SendJson(const Call& call) {
  SIGNUM_ASSIGN(const HttpResponse response, SendRetrying(call));
  return AnswerJson(call, response);
}

Result<json> Registry::GetJson(const std::string& path) { return SendJson({.path = path}); }

Result<json> Registry::GetList(const std::string& path, const std::string& plural) {
  json all = json::array();
  std::string after;
  do {
    const std::string separator = path.find('?') == path.npos ? "?" : "&";
    SIGNUM_ASSIGN(const json page,
                  GetJson(path + separator + "limit=1000" +
                          (after.empty() ? "" : "&after=" + EscapeSegment(after))));
    SIGNUM_ASSIGN(const json* items, JsonArray(page, plural.c_str()));
    all.insert(all.end(), items->begin(), items->end());
    const std::string next = JsonCell(page, "next");
    if (next == after) break;
    after = next == "-" ? "" : next;
  } while (!after.empty());
  json list = json::object();
  list[plural] = std::move(all);
  return Result<json>(boost::system::in_place_value, std::move(list));
}

std::string Registry::VersionPath(const std::string& tenant, const std::string& model,
                                  const std::string& version) const {
  return "/v1/tenants/" + EscapeSegment(tenant) + "/models/" + EscapeSegment(model) + "/versions" +
         (version.empty() ? "" : "/" + EscapeSegment(version));
}

// ---- uploads

Result<json> Registry::CreateUpload(const json& files) {
  return SendJson({.method = "POST",
                   .path = "/v1/uploads",
                   .body = json{{"files", files}}.dump(),
                   .patient = true});
}

Result<uint64_t> Registry::UploadOffset(const std::string& url) {
  SIGNUM_ASSIGN(const HttpResponse response, SendRetrying({.method = "HEAD",
                                                           .path = url,
                                                           .headers = {{"Tus-Resumable", "1.0.0"}},
                                                           .patient = true}));
  uint64_t offset = 0;
  const std::string_view text = response.Header("upload-offset");
  if (text.empty() ||
      std::from_chars(text.data(), text.data() + text.size(), offset).ec != std::errc()) {
    return Fail(Errc::kInternal, "bad_answer", url + ": no Upload-Offset in the answer");
  }
  return offset;
}

Result<uint64_t> Registry::PatchUpload(const std::string& url, uint64_t offset, ConstBytes bytes,
                                       const std::function<void(uint64_t)>& on_sent) {
  HttpRequest request;
  request.method = "PATCH";
  request.url = url;
  request.headers = {{"Tus-Resumable", "1.0.0"},
                     {"Upload-Offset", std::to_string(offset)},
                     {"Content-Type", "application/offset+octet-stream"}};
  request.upload = bytes;
  request.on_sent = on_sent;
  request.timeout = std::chrono::seconds{0};
  SIGNUM_ASSIGN(const HttpResponse response, Send(request));
  if (!response.ok()) return ErrorFromResponse(response, "PATCH " + url);
  return offset + bytes.size();
}

Result<void> Registry::DeleteUpload(const std::string& id) {
  SIGNUM_TRY(SendRetrying({.method = "DELETE", .path = "/v1/uploads/" + EscapeSegment(id)}));
  return {};
}

// ---- resources

Result<json> Registry::CreateBase(const std::string& name, const std::string& upload) {
  return SendJson({.method = "POST",
                   .path = "/v1/bases/" + EscapeSegment(name),
                   .body = json{{"upload", upload}}.dump(),
                   .timeout = kValidation,
                   .patient = true});
}

Result<json> Registry::ListBases() { return GetList("/v1/bases", "bases"); }

Result<json> Registry::GetBase(const std::string& name) {
  return GetJson("/v1/bases/" + EscapeSegment(name));
}

Result<json> Registry::ListTenants() { return GetList("/v1/tenants", "tenants"); }

Result<json> Registry::ListModels(const std::string& tenant) {
  return GetList("/v1/tenants/" + EscapeSegment(tenant) + "/models", "models");
}

Result<json> Registry::ListVersions(const std::string& tenant, const std::string& model) {
  return GetList(VersionPath(tenant, model, ""), "versions");
}

Result<json> Registry::GetVersion(const std::string& tenant, const std::string& model,
                                  const std::string& version) {
  return GetJson(VersionPath(tenant, model, version));
}

Result<json> Registry::CreateVersion(const std::string& tenant, const std::string& model,
                                     const json& spec) {
  return SendJson({.method = "POST",
                   .path = VersionPath(tenant, model, ""),
                   .body = spec.dump(),
                   .timeout = kValidation,
                   .patient = true});
}

Result<void> Registry::DeleteVersion(const std::string& tenant, const std::string& model,
                                     uint64_t version) {
  SIGNUM_TRY(SendRetrying(
      {.method = "DELETE", .path = VersionPath(tenant, model, std::to_string(version))}));
  return {};
}

// ---- aliases

namespace {
std::string AliasPath(const std::string& tenant, const std::string& model,
                      const std::string& alias) {
  return "/v1/tenants/" + EscapeSegment(tenant) + "/models/" + EscapeSegment(model) + "/aliases/" +
         EscapeSegment(alias);
}
}  // namespace

Result<Alias> Registry::GetAlias(const std::string& tenant, const std::string& model,
                                 const std::string& alias) {
  SIGNUM_ASSIGN(const HttpResponse response,
                SendRetrying({.path = AliasPath(tenant, model, alias)}));
  return ParseAlias(response);
}

Result<Alias> Registry::SetAlias(const std::string& tenant, const std::string& model,
                                 const std::string& alias, uint64_t version,
                                 const std::string& etag) {
  Call call{.method = "PUT",
            .path = AliasPath(tenant, model, alias),
            .body = json{{"version", version}}.dump()};
  call.headers.emplace_back(etag.empty() ? "If-None-Match" : "If-Match", etag.empty() ? "*" : etag);
  SIGNUM_ASSIGN(const HttpResponse response, SendRetrying(call));
  return ParseAlias(response);
}

Result<std::string> Registry::GetBytes(const std::string& url, uint64_t limit) {
  SIGNUM_ASSIGN(HttpResponse response, SendRetrying({.path = url}));
  if (response.body.size() > limit) {
    return Fail(Errc::kTooLarge, "body_too_large",
                url + " is over " + std::to_string(limit) + " bytes");
  }
  return std::move(response.body);
}

}  // namespace signum::client
