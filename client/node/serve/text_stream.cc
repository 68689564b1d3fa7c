#include "client/node/serve/text_stream.h"

#include <algorithm>

#include "gpu/tokenizer/utf8.h"

namespace signum::client {
namespace {

// The longest end of `text` that is the beginning of `stop`, but not all of it.
size_t Overlap(std::string_view text, std::string_view stop) {
  for (size_t n = std::min(text.size(), stop.size() - 1); n > 0; --n) {
    if (text.ends_with(stop.substr(0, n))) return n;
  }
  return 0;
}

}  // namespace

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
