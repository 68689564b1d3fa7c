#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "server/http/message.h"

// Takes HTTP/1.x requests apart (RFC 9112), strictly: what two parsers could read in two ways is
// refused. Neither sockets nor threads; behind it is Beast's parser, kept out of every header.

namespace signum::http {

// Why a request is refused before any handler sees it.
struct Refusal {
  int status = 400;
  std::string code;
  std::string detail;
};

struct RequestHead {
  std::string method;
  std::string target;
  Headers headers;  // lower-case names; repeated list headers joined with ", "
  bool http11 = true;
  bool keep_alive = true;
  bool chunked = false;
  bool expects_continue = false;
  uint64_t content_length = 0;

  const std::string* Find(std::string_view lower_case_name) const;
};

// One request: its head, then, if chunked, its body. Not reusable, not thread-safe.
class RequestParser {
 public:
  explicit RequestParser(uint64_t max_header_bytes);
  ~RequestParser();

  // Parses more of the head from `bytes`, which begin where the last call stopped. Returns how many
  // were consumed; head_done() says whether that was all of it. A refusal ends the parser.
  std::variant<size_t, Refusal> ParseHead(std::string_view bytes);
  bool head_done() const;
  RequestHead& head();  // valid once head_done()

  // Only for chunked bodies: decodes from `bytes` (as above) and appends the content to `body`. A
  // chunk header, or all trailers (which are dropped), must fit `bytes`: the caller refuses the
  // request when a full buffer is not consumed.
  std::variant<size_t, Refusal> ParseChunks(std::string_view bytes, std::string* body);
  bool body_done() const;  // the last chunk and the trailers have been read

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace signum::http
