#include "gpu/tokenizer/split_text.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "gpu/tokenizer/json_fields.h"

namespace signum {
namespace {

using nlohmann::json;

// What ByteLevel splits by where it is asked to: GPT-2's pattern.
constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

constexpr size_t kMaxSteps = 16;

int FormOf(const std::string& name) {
  if (name == "NFC") return UTF8PROC_STABLE | UTF8PROC_COMPOSE;
  if (name == "NFD") return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;
  if (name == "NFKC") return UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
  if (name == "NFKD") return UTF8PROC_STABLE | UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT;
  return 0;
}

// The bytes at the beginning of `text` to bring into a form at once: up to its end, or where more
// combining marks follow one another than any language has (Unicode's Stream-Safe Text Format
// allows 30). They are sorted in quadratic time.
size_t SafeLength(std::string_view text) {
  constexpr int kMaxMarks = 64;
  int marks = 0;
  size_t at = 0;
  while (at < text.size()) {
    utf8proc_int32_t character = 0;
    const auto length =
        utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(text.data() + at),
                         static_cast<utf8proc_ssize_t>(text.size() - at), &character);
    if (length <= 0) break;
    marks = utf8proc_get_property(character)->combining_class != 0 ? marks + 1 : 0;
    if (marks > kMaxMarks) return at;
    at += static_cast<size_t>(length);
  }
  return text.size();
}

std::string InForm(std::string_view text, int form) {
  utf8proc_uint8_t* out = nullptr;
  const auto size = utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                 static_cast<utf8proc_ssize_t>(text.size()), &out,
                                 static_cast<utf8proc_option_t>(form));
  const std::unique_ptr<utf8proc_uint8_t, void (*)(void*)> owner(out, std::free);
  if (size < 0) return std::string(text);  // no memory, or longer than it can count
  return {reinterpret_cast<const char*>(out), static_cast<size_t>(size)};
}

}  // namespace

Result<SplitText> SplitText::Parse(const json& tokenizer) {
  SplitText out;
  SIGNUM_TRY(out.ParseNormalizer(Member(tokenizer, "normalizer")));
  for (const json& step : StepsOf(Member(tokenizer, "pre_tokenizer"), "pretokenizers")) {
    SIGNUM_TRY(out.ParsePreTokenizer(step));
  }
  if (!out.byte_level_) return UnsupportedTokenizer("a pre_tokenizer without ByteLevel");
  return out;
}

Result<void> SplitText::ParseNormalizer(const json& normalizer) {
  if (normalizer.is_null()) return {};
  for (const json& step : StepsOf(normalizer, "normalizers")) {
    const std::string type = TextOf(Member(step, "type"));
    const int form = FormOf(type);
    if (form == 0) return UnsupportedTokenizer("normalizer '" + Printable(type) + "'");
    if (forms_.size() == kMaxSteps) return UnsupportedTokenizer("a normalizer of so many steps");
    forms_.push_back(form);
  }
  return {};
}

Result<void> SplitText::ParsePreTokenizer(const json& step) {
  const std::string type = TextOf(Member(step, "type"));
  if (type == "Split") return ParseSplit(step);
  if (type == "Digits") {
    return AddStep(FlagOf(step, "individual_digits", false) ? "\\p{N}" : "\\p{N}+", true);
  }
  if (type != "ByteLevel") return UnsupportedTokenizer("pre_tokenizer '" + Printable(type) + "'");
  if (byte_level_) return UnsupportedTokenizer("a pre_tokenizer with ByteLevel twice");
  byte_level_ = true;
  if (FlagOf(step, "add_prefix_space", true)) {
    return UnsupportedTokenizer("pre_tokenizer ByteLevel's add_prefix_space");
  }
  if (!FlagOf(step, "use_regex", true)) return {};
  return AddStep(kGpt2, true);
}

Result<void> SplitText::ParseSplit(const json& split) {
  const json& pattern = Member(split, "pattern");
  const std::string regex = TextOf(Member(pattern, "Regex"));
  const std::string text = TextOf(Member(pattern, "String"));
  if (regex.empty() == text.empty()) return BadTokenizer("a Split without a pattern");
  const std::string behavior = TextOf(Member(split, "behavior"));
  const bool invert = FlagOf(split, "invert", false);
  if (behavior == "Isolated" || (behavior == "Removed" && invert)) {
    return AddStep(regex.empty() ? Pattern::Quoted(text) : regex, behavior == "Isolated");
  }
  return UnsupportedTokenizer("a Split of behavior '" + Printable(behavior) + "'");
}

Result<void> SplitText::AddStep(std::string_view regex, bool keep_between) {
  if (steps_.size() == kMaxSteps) return UnsupportedTokenizer("a pre_tokenizer of so many steps");
  SIGNUM_ASSIGN(Pattern pattern, Pattern::Compile(regex));
  steps_.push_back({std::move(pattern), keep_between});
  return {};
}

std::string SplitText::Normalized(std::string_view text) const {
  std::string out(text);
  for (const int form : forms_) {
    std::string normal;
    for (std::string_view rest = out; !rest.empty();) {
      const size_t length = SafeLength(rest);
      normal += InForm(rest.substr(0, length), form);
      rest.remove_prefix(length);
    }
    out = std::move(normal);
  }
  return out;
}

void SplitText::Run(size_t step, std::string_view text, const OnWord& word) const {
  if (step == steps_.size()) return word(text);
  const bool keep_between = steps_[step].keep_between;
  steps_[step].pattern.Split(text, [&](std::string_view part, bool matched) {
    if (matched || keep_between) Run(step + 1, part, word);
  });
}

void SplitText::ForEachWord(std::string_view text, const OnWord& word) const {
  if (forms_.empty()) return Run(0, text, word);
  Run(0, Normalized(text), word);
}

}  // namespace signum
