#include "server/serve_object.h"

#include <utility>

#include "server/http/conditional.h"
#include "server/http/serve_source.h"

namespace signum {

http::Response ServeDigested(const http::Request& request, std::shared_ptr<const ByteSource> source,
                             const Digest& digest, std::string_view content_type, bool immutable) {
  http::Representation representation;
  representation.source = std::move(source);
  representation.etag = http::StrongETag(digest.Text());
  representation.repr_digest = digest.ReprDigest();
  representation.content_type = content_type;
  representation.immutable = immutable;
  return http::ServeSource(request, std::move(representation));
}

std::string_view ContentTypeOf(std::string_view path) {
  if (path.ends_with(".json")) return "application/json";
  if (path.ends_with(".txt") || path.ends_with(".md")) return "text/plain; charset=utf-8";
  return "application/octet-stream";
}

}  // namespace signum
