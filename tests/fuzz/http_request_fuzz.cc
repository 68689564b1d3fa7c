#include <cstdint>
#include <cstdlib>
#include <string>

#include "server/http/request_parser.h"

// A connection's bytes, cut into pieces of the size that the first byte gives, read the way the
// server reads them. The same bytes in one piece must come to the same request.
namespace {

struct Outcome {
  int refused = 0;
  bool complete = false;
  std::string head;
  std::string body;

  bool operator==(const Outcome&) const = default;
};

Outcome Parse(std::string_view bytes, size_t step) {
  signum::http::RequestParser parser(4096);
  Outcome outcome;
  std::string buffered;
  while (!bytes.empty() && !outcome.complete) {
    buffered.append(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
    auto parsed = parser.head_done() ? parser.ParseChunks(buffered, &outcome.body)
                                     : parser.ParseHead(buffered);
    if (const auto* refusal = std::get_if<signum::http::Refusal>(&parsed)) {
      outcome.refused = refusal->status;
      return outcome;
    }
    buffered.erase(0, std::get<size_t>(parsed));
    if (!parser.head_done()) continue;
    const auto& head = parser.head();
    outcome.head = head.method + " " + head.target;
    for (const auto& [name, value] : head.headers) outcome.head += "\n" + name + ": " + value;
    if (!head.chunked) {
      outcome.complete = true;
    } else {
      if (!buffered.empty() && !parser.body_done()) {
        auto more = parser.ParseChunks(buffered, &outcome.body);
        if (const auto* refusal = std::get_if<signum::http::Refusal>(&more)) {
          outcome.refused = refusal->status;
          return outcome;
        }
        buffered.erase(0, std::get<size_t>(more));
      }
      outcome.complete = parser.body_done();
    }
  }
  return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
  const Outcome pieces = Parse(bytes, size_t{data[0]} + 1);
  const Outcome whole = Parse(bytes, bytes.size());
  if (whole.complete && pieces.complete && !(whole == pieces)) std::abort();
  if (whole.complete && pieces.refused != 0) std::abort();
  return 0;
}
