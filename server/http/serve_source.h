#pragma once

#include <memory>
#include <string>

#include "server/http/message.h"

namespace signum::http {

// A byte resource as a GET or HEAD sees it.
struct Representation {
  std::shared_ptr<const ByteSource> source;
  std::string etag;         // with quotes: see StrongETag
  std::string repr_digest;  // RFC 9530, of the whole (Digest::ReprDigest()); "" leaves it out
  std::string content_type = "application/octet-stream";
  bool immutable = false;  // addressed by digest: any cache may keep it for a year
};

// Answers GET or HEAD for it: 200, 206, 304, 412 or 416, with ETag, Accept-Ranges, Repr-Digest and
// Cache-Control as api.md says.
Response ServeSource(const Request& request, Representation representation);

}  // namespace signum::http
