#include "tests/server/http/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cctype>
#include <utility>

namespace signum::http::test {

RawClient::RawClient(uint16_t port, std::chrono::milliseconds timeout) {
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const timeval limit{timeout.count() / 1000, timeout.count() % 1000 * 1000};
  setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  setsockopt(fd_, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close(fd_);
    fd_ = -1;
  }
}

RawClient::~RawClient() {
  if (fd_ >= 0) close(fd_);
}

void RawClient::CloseHard() {
  const linger hard{1, 0};
  setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
  close(fd_);
  fd_ = -1;
}

bool RawClient::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

bool RawClient::Fill() {
  std::array<char, 65536> piece;
  const ssize_t got = recv(fd_, piece.data(), piece.size(), 0);
  if (got <= 0) return false;
  buffered_.append(piece.data(), static_cast<size_t>(got));
  return true;
}

std::string RawClient::ReadSome() {
  if (buffered_.empty()) Fill();
  return std::exchange(buffered_, {});
}

bool RawClient::AtEnd() {
  char byte;
  return buffered_.empty() && recv(fd_, &byte, 1, 0) == 0;
}

std::optional<Answer> RawClient::Read(bool head_only) {
  size_t end;
  while ((end = buffered_.find("\r\n\r\n")) == std::string::npos) {
    if (!Fill()) return std::nullopt;
  }
  const std::string head = buffered_.substr(0, end + 2);
  buffered_.erase(0, end + 4);
  Answer answer;
  if (!head.starts_with("HTTP/1.1 ") || head.size() < 14) return std::nullopt;
  answer.status = std::stoi(head.substr(9, 3));
  for (size_t line = head.find("\r\n") + 2; line < head.size();) {
    const size_t stop = head.find("\r\n", line);
    const size_t colon = head.find(": ", line);
    std::string name = head.substr(line, colon - line);
    for (char& c : name) c = static_cast<char>(std::tolower(c));
    answer.headers[name] = head.substr(colon + 2, stop - colon - 2);
    line = stop + 2;
  }
  const auto length = answer.headers.find("content-length");
  if (head_only || length == answer.headers.end()) return answer;
  const size_t size = std::stoull(length->second);
  while (buffered_.size() < size) {
    if (!Fill()) return std::nullopt;
  }
  answer.body = buffered_.substr(0, size);
  buffered_.erase(0, size);
  return answer;
}

std::string Ask11(std::string_view method, std::string_view target, std::string_view headers,
                  std::string_view body) {
  std::string text;
  text.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: localhost\r\n");
  text.append(headers);
  if (!body.empty())
    text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  return text.append("\r\n").append(body);
}

}  // namespace signum::http::test
