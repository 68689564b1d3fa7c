#include "tests/server/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>

namespace signum::test {
namespace {

std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

// "Name: value\r\n" lines after the status line.
void ParseHead(std::string_view head, Reply* reply) {
  reply->status = std::stoi(std::string(head.substr(head.find(' ') + 1, 3)));
  size_t at = head.find("\r\n") + 2;
  while (at < head.size()) {
    const size_t end = head.find("\r\n", at);
    const std::string_view line = head.substr(at, end - at);
    const size_t colon = line.find(": ");
    if (colon == std::string_view::npos) break;
    reply->headers[Lower(std::string(line.substr(0, colon)))] = line.substr(colon + 2);
    at = end + 2;
  }
}

}  // namespace

std::string Reply::Code() const {
  const auto document = Json();
  return document.is_object() ? document.value("code", "") : "";
}

std::string Reply::Header(const std::string& lower_case_name) const {
  const auto found = headers.find(lower_case_name);
  return found == headers.end() ? "" : found->second;
}

Connection::Connection(uint16_t port, std::chrono::seconds deadline)
    : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const timeval limit{deadline.count(), 0};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  const int one = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close(fd_);
    throw std::runtime_error(std::string("connect: ") + std::strerror(errno));
  }
}

Connection::~Connection() { close(fd_); }

void Connection::Abort() {
  const linger hard{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  shutdown(fd_, SHUT_RDWR);
}

void Connection::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    // A server that has answered already may have closed: its answer is still to be read.
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return;
    if (sent < 0) throw std::runtime_error(std::string("send: ") + std::strerror(errno));
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
}

bool Connection::Fill() {
  char piece[64 * 1024];
  const ssize_t got = recv(fd_, piece, sizeof(piece), 0);
  if (got < 0) throw std::runtime_error(std::string("recv: ") + std::strerror(errno));
  buffer_.append(piece, static_cast<size_t>(got));
  return got > 0;
}

std::string Connection::ReadUntil(std::string_view end) {
  size_t found;
  while ((found = buffer_.find(end)) == std::string::npos) {
    if (!Fill()) throw std::runtime_error("the server closed the connection; had: " + buffer_);
  }
  return Take(found + end.size());
}

std::string Connection::Take(size_t bytes) {
  while (buffer_.size() < bytes) {
    if (!Fill()) throw std::runtime_error("the server cut an answer short");
  }
  std::string taken = buffer_.substr(0, bytes);
  buffer_.erase(0, bytes);
  return taken;
}

std::string Connection::TakeChunked() {
  std::string body;
  for (;;) {
    const size_t size = std::stoul(ReadUntil("\r\n"), nullptr, 16);
    body += Take(size);
    ReadUntil("\r\n");
    if (size == 0) return body;
  }
}

Reply Connection::ReadReply(bool head) {
  Reply reply;
  do {
    reply = Reply();
    ParseHead(ReadUntil("\r\n\r\n"), &reply);
  } while (reply.status < 200);
  if (head || reply.status == 204 || reply.status == 304) return reply;
  if (reply.Header("transfer-encoding") == "chunked") {
    reply.body = TakeChunked();
  } else if (reply.headers.contains("content-length")) {
    reply.body = Take(std::stoul(reply.Header("content-length")));
  } else {
    while (Fill()) {
    }
    reply.body = std::exchange(buffer_, "");
  }
  return reply;
}

std::string Client::Head(std::string_view method, const std::string& target,
                         const HeaderList& headers, uint64_t content_length) const {
  std::string head = std::string(method) + " " + target +
                     " HTTP/1.1\r\nHost: 127.0.0.1:" + std::to_string(port_) + "\r\n";
  if (!token_.empty()) head += "Authorization: Bearer " + token_ + "\r\n";
  for (const auto& [name, value] : headers) head += name + ": " + value + "\r\n";
  const bool has_body =
      content_length > 0 || method == "POST" || method == "PUT" || method == "PATCH";
  if (has_body) head += "Content-Length: " + std::to_string(content_length) + "\r\n";
  return head + "\r\n";
}

Reply Client::Call(std::string_view method, const std::string& target, const HeaderList& headers,
                   std::string_view body) const {
  Connection connection(port_);
  connection.Send(Head(method, target, headers, body.size()));
  connection.Send(body);
  return connection.ReadReply(method == "HEAD");
}

}  // namespace signum::test
