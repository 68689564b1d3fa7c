#include "client/node/serve/text_stream.h"

#include <algorithm>

namespace signum::client {
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

// The longest end of `text` that is the beginning of `stop`, but not all of it.
size_t Overlap(std::string_view text, std::string_view stop) {
  for (size_t n = std::min(text.size(), stop.size() - 1); n > 0; --n) {
    if (text.ends_with(stop.substr(0, n))) return n;
  }
  return 0;
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

TextStream::TextStream(std::shared_ptr<const Tokenizer> tokenizer, std::vector<std::string> stops)
    : tokenizer_(std::move(tokenizer)), stops_(std::move(stops)) {
  std::erase(stops_, "");
}

std::string TextStream::Push(int32_t token) {
  if (tokenizer_ == nullptr || stopped_) return "";
  bytes_ += tokenizer_->Piece(token);
  TakeCharacters(false);
  return Release(false);
}

std::string TextStream::Finish() {
  if (stopped_) return "";
  TakeCharacters(true);
  return Release(true);
}

void TextStream::TakeCharacters(bool all) {
  if (drop_blank_ && !bytes_.empty()) {
    if (bytes_[0] == ' ') bytes_.erase(0, 1);
    drop_blank_ = false;
  }
  TakeUtf8(bytes_, all, text_);
}

std::string TextStream::Release(bool all) {
  size_t end = std::string::npos;
  size_t held = 0;
  for (const std::string& stop : stops_) {
    end = std::min(end, text_.find(stop));
    held = std::max(held, Overlap(text_, stop));
  }
  stopped_ = end != std::string::npos;
  if (!stopped_) end = all ? text_.size() : text_.size() - held;
  std::string out = text_.substr(0, end);
  text_.erase(0, stopped_ ? text_.size() : end);
  return out;
}

}  // namespace signum::client
