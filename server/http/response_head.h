#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "server/http/message.h"

namespace signum::http {

// How the end of a response body is marked.
enum class Framing {
  kNone,     // no body by its status: 204, 304
  kLength,   // Content-Length
  kChunked,  // Transfer-Encoding: chunked
  kClose,    // HTTP/1.0: the end of the connection
};

// The status line and all headers, blank line included. Control characters in header values become
// spaces, so that no value can begin a header of its own.
std::string FormatHead(const Response& response, std::string_view request_id, Framing framing,
                       uint64_t length, bool keep_alive);

// A short answer before any request was read (too many connections), connection closed after it.
std::string FormatRefusal(int status, std::string_view code, std::string_view detail);

// IMF-fixdate of now, renewed once a second.
std::string_view HttpDate();

}  // namespace signum::http
