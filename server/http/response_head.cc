#include "server/http/response_head.h"

#include <array>
#include <ctime>

namespace signum::http {
namespace {

void AppendHeader(std::string_view name, std::string_view value, std::string* out) {
  out->append(name).append(": ");
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    out->push_back((byte < 0x20 && c != '\t') || byte == 0x7F ? ' ' : c);
  }
  out->append("\r\n");
}

}  // namespace

std::string_view HttpDate() {
  thread_local std::array<char, 40> text;
  thread_local size_t size = 0;
  thread_local std::time_t written = -1;
  const std::time_t now = std::time(nullptr);
  if (now != written) {
    std::tm parts{};
    gmtime_r(&now, &parts);
    size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    written = now;
  }
  return {text.data(), size};
}

std::string FormatHead(const Response& response, std::string_view request_id, Framing framing,
                       uint64_t length, bool keep_alive) {
  std::string head;
  head.reserve(512);
  head.append("HTTP/1.1 ").append(std::to_string(response.status)).append(" ");
  head.append(ReasonPhrase(response.status)).append("\r\nServer: signum\r\n");
  AppendHeader("Date", HttpDate(), &head);
  AppendHeader("X-Request-Id", request_id, &head);
  for (const auto& [name, value] : response.headers) AppendHeader(name, value, &head);
  if (framing == Framing::kLength) AppendHeader("Content-Length", std::to_string(length), &head);
  if (framing == Framing::kChunked) AppendHeader("Transfer-Encoding", "chunked", &head);
  AppendHeader("Connection", keep_alive ? "keep-alive" : "close", &head);
  head.append("\r\n");
  return head;
}

std::string FormatRefusal(int status, std::string_view code, std::string_view detail) {
  const Response response = ProblemStatus(status, code, detail, "");
  const auto& body = std::get<std::string>(response.body);
  return FormatHead(response, "-", Framing::kLength, body.size(), false) + body;
}

}  // namespace signum::http
