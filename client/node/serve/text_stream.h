#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/tokenizer/tokenizer.h"

namespace signum::client {

// Tokens into text as they come. Characters that several tokens make up, and what may become a stop
// string, are held back until it is clear; bytes that are no UTF-8 become U+FFFD. Whatever the
// tokens' division, the parts put together are the same text.
class TextStream {
 public:
  // `tokenizer` null: there is no text.
  TextStream(std::shared_ptr<const Tokenizer> tokenizer, std::vector<std::string> stops);

  // What can be said now. After a stop string nothing more comes, and neither does the string.
  std::string Push(int32_t token);
  // What was still held back, at the end.
  std::string Finish();
  bool stopped() const { return stopped_; }
  // A blank at the very beginning of the text is left out (it is the tokenizer's own).
  void DropFirstBlank() { drop_blank_ = true; }

 private:
  void TakeCharacters(bool all);
  std::string Release(bool all);

  std::shared_ptr<const Tokenizer> tokenizer_;
  std::vector<std::string> stops_;
  std::string bytes_;  // not yet whole characters
  std::string text_;   // not yet said
  bool stopped_ = false;
  bool drop_blank_ = false;
};

}  // namespace signum::client
