#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace signum::test {

// An answer as it came over the wire.
struct Reply {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;

  // The body as JSON; null where it is none.
  nlohmann::json Json() const { return nlohmann::json::parse(body, nullptr, false); }
  // The `code` of a problem document, "" for anything else.
  std::string Code() const;
  std::string Header(const std::string& lower_case_name) const;
};

// One TCP connection to a server on this machine, blocking. Everything has a deadline: what takes
// longer throws std::runtime_error, and so does a connection that ends in the middle of an answer.
class Connection {
 public:
  explicit Connection(uint16_t port, std::chrono::seconds deadline = std::chrono::seconds(30));
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void Send(std::string_view bytes);
  // Next answer; `head`: it answers a HEAD and has no body. 1xx answers are skipped.
  Reply ReadReply(bool head = false);
  // Everything up to and including `end` (event streams).
  std::string ReadUntil(std::string_view end);
  // Closes hard (RST), as a client that crashes.
  void Abort();

 private:
  bool Fill();  // false at the end of the stream
  std::string Take(size_t bytes);
  std::string TakeChunked();

  int fd_;
  std::string buffer_;
};

using HeaderList = std::vector<std::pair<std::string, std::string>>;

// Sends one request a connection, with a token.
class Client {
 public:
  Client(uint16_t port, std::string token) : port_(port), token_(std::move(token)) {}

  Reply Call(std::string_view method, const std::string& target, const HeaderList& headers = {},
             std::string_view body = {}) const;
  Reply Get(const std::string& target, const HeaderList& headers = {}) const {
    return Call("GET", target, headers);
  }
  Reply Post(const std::string& target, const nlohmann::json& body,
             const HeaderList& headers = {}) const {
    return Call("POST", target, headers, body.dump());
  }
  Reply Put(const std::string& target, const nlohmann::json& body,
            const HeaderList& headers = {}) const {
    return Call("PUT", target, headers, body.dump());
  }
  Reply Delete(const std::string& target, const HeaderList& headers = {}) const {
    return Call("DELETE", target, headers);
  }
  // Start line and headers of a request, for those who send the body themselves.
  std::string Head(std::string_view method, const std::string& target, const HeaderList& headers,
                   uint64_t content_length) const;
  uint16_t port() const { return port_; }
  const std::string& token() const { return token_; }

 private:
  uint16_t port_;
  std::string token_;
};

}  // namespace signum::test
