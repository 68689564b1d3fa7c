#pragma once

#include <memory>
#include <string_view>

#include "server/http/message.h"
#include "storage/base/byte_source.h"
#include "storage/base/digest.h"

namespace signum {

// Answers a GET or HEAD for bytes whose SHA-256 is known: the digest is the entity tag.
// `immutable`: the URL itself names the digest, so any cache may keep the answer for good.
http::Response ServeDigested(const http::Request& request, std::shared_ptr<const ByteSource> source,
                             const Digest& digest, std::string_view content_type,
                             bool immutable = false);

// Of a checkpoint's file, by its name.
std::string_view ContentTypeOf(std::string_view path);

}  // namespace signum
