#include "gpu/tokenizer/utf8.h"

namespace signum {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";

struct Lead {
  size_t length = 0;                      // of the character; 0: no character begins so
  unsigned char low = 0x80, high = 0xbf;  // of the second byte (Unicode, table 3-7)
};

Lead LeadOf(unsigned char c) {
  if (c < 0x80) return {1};
  if (c >= 0xc2 && c <= 0xdf) return {2};
  if (c == 0xe0) return {3, 0xa0, 0xbf};
  if (c == 0xed) return {3, 0x80, 0x9f};
  if (c >= 0xe1 && c <= 0xef) return {3};
  if (c == 0xf0) return {4, 0x90, 0xbf};
  if (c >= 0xf1 && c <= 0xf3) return {4};
  if (c == 0xf4) return {4, 0x80, 0x8f};
  return {};
}

// How many of the bytes from `at` on fit one character; all of its length where it is whole.
size_t Fitting(std::string_view bytes, size_t at, const Lead& lead) {
  size_t n = 1;
  while (n < lead.length && at + n < bytes.size()) {
    const auto c = static_cast<unsigned char>(bytes[at + n]);
    const unsigned char low = n == 1 ? lead.low : 0x80;
    const unsigned char high = n == 1 ? lead.high : 0xbf;
    if (c < low || c > high) break;
    ++n;
  }
  return n;
}

}  // namespace

void TakeUtf8(std::string& bytes, bool all, std::string& text) {
  size_t at = 0;
  while (at < bytes.size()) {
    const Lead lead = LeadOf(static_cast<unsigned char>(bytes[at]));
    const size_t n = lead.length == 0 ? 1 : Fitting(bytes, at, lead);
    const bool whole = lead.length != 0 && n == lead.length;
    const bool unfinished = !whole && lead.length != 0 && at + n == bytes.size();
    if (unfinished && !all) break;
    text += whole ? std::string_view(bytes).substr(at, n) : kReplacement;
    at += n;
  }
  bytes.erase(0, at);
}

std::string CleanUtf8(std::string bytes) {
  std::string text;
  text.reserve(bytes.size());
  TakeUtf8(bytes, true, text);
  return text;
}

}  // namespace signum
