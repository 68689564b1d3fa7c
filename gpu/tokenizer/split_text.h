#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/tokenizer/pattern.h"
#include "storage/base/result.h"

namespace signum {

// How text is prepared for byte-level BPE: a tokenizer.json's normalizer and pre_tokenizer.
class SplitText {
 public:
  // Errc::kUnusable bad_tokenizer, unsupported_tokenizer, naming the field.
  static Result<SplitText> Parse(const nlohmann::json& tokenizer);

  // Calls `word` for each word of `text` (UTF-8), in order.
  using OnWord = std::function<void(std::string_view word)>;
  void ForEachWord(std::string_view text, const OnWord& word) const;

 private:
  struct Step {
    Pattern pattern;
    bool keep_between;  // what does not match is a word too
  };

  Result<void> ParseNormalizer(const nlohmann::json& normalizer);
  Result<void> ParsePreTokenizer(const nlohmann::json& pre_tokenizer);
  Result<void> ParseSplit(const nlohmann::json& split);
  Result<void> AddStep(std::string_view regex, bool keep_between);
  std::string Normalized(std::string_view text) const;
  void Run(size_t step, std::string_view text, const OnWord& word) const;

  std::vector<int> forms_;  // utf8proc's options
  std::vector<Step> steps_;
  bool byte_level_ = false;
};

}  // namespace signum
