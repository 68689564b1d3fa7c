#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>

// A blocking HTTP client that sends exactly the bytes it is told to: for tests of what servers must
// refuse. Independent of the server's own parser.

namespace signum::http::test {

struct Answer {
  int status = 0;
  std::map<std::string, std::string> headers;  // lower-case names
  std::string body;
};

class RawClient {
 public:
  // Connects to 127.0.0.1; reads fail after `timeout`.
  explicit RawClient(uint16_t port, std::chrono::milliseconds timeout = std::chrono::seconds(20));
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  bool connected() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  bool Send(std::string_view bytes);  // false when the peer has closed
  // Reads one whole response; nullopt at the end of the stream, on a timeout or a malformed answer.
  std::optional<Answer> Read(bool head_only = false);
  std::optional<Answer> Ask(std::string_view bytes) {
    Send(bytes);
    return Read();
  }
  std::string ReadSome();  // what arrives next, "" at the end
  bool AtEnd();            // the server closed, and nothing is left to read
  void CloseHard();        // with a reset

 private:
  bool Fill();

  int fd_ = -1;
  std::string buffered_;
};

// "METHOD target HTTP/1.1" with a Host header, the given header lines ("A: b\r\n…") and a body.
std::string Ask11(std::string_view method, std::string_view target, std::string_view headers = "",
                  std::string_view body = "");

}  // namespace signum::http::test
