#include "gpu/tokenizer/bpe_json.h"

#include "gpu/tokenizer/json_fields.h"

namespace signum {
namespace {

using nlohmann::json;

// Both spellings: "a b" and ["a", "b"].
bool ReadMerge(const json& merge, std::string& left, std::string& right) {
  if (merge.is_array() && merge.size() == 2) {
    left = TextOf(merge[0]);
    right = TextOf(merge[1]);
  } else {
    const std::string both = TextOf(merge);
    const size_t blank = both.find(' ');
    if (blank == both.npos) return false;
    left = both.substr(0, blank);
    right = both.substr(blank + 1);
  }
  return !left.empty() && !right.empty();
}

}  // namespace

Result<void> CheckBpe(const json& model) {
  const std::string type = TextOf(Member(model, "type"));
  if (!type.empty() && type != "BPE") {
    return UnsupportedTokenizer("model.type '" + Printable(type) + "'");
  }
  for (const char* name : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    const json& value = Member(model, name);
    const bool no_text = value.is_string() && TextOf(value).empty();
    if (value.is_null() || value == 0.0 || no_text) continue;
    return UnsupportedTokenizer("model." + std::string(name));
  }
  if (!Member(model, "vocab").is_object()) return BadTokenizer("model.vocab is no object");
  if (!Member(model, "merges").is_array()) return BadTokenizer("model.merges is no list");
  return {};
}

Result<void> ReadBpe(
    const json& model, const std::function<void(const std::string&, int32_t)>& token,
    const std::function<bool(const std::string& left, const std::string& right)>& merge) {
  for (const auto& [piece, id] : Member(model, "vocab").items()) {
    if (piece.empty() || !id.is_number_unsigned() || id.get<uint64_t>() >= kMaxTokens) {
      return BadTokenizer("model.vocab: '" + Printable(piece) + "' has no id that can be");
    }
    token(piece, id.get<int32_t>());
  }
  const json& merges = Member(model, "merges");
  std::string left, right;
  for (size_t at = 0; at < merges.size(); ++at) {
    if (ReadMerge(merges[at], left, right) && merge(left, right)) continue;
    return BadTokenizer("model.merges[" + std::to_string(at) + "]");
  }
  return {};
}

Result<int32_t> FindBegin(const json& file, std::string_view bos, const Tokenizer& tokenizer) {
  std::string piece(bos);
  for (const json& step : StepsOf(Member(file, "post_processor"), "processors")) {
    if (TextOf(Member(step, "type")) != "TemplateProcessing") continue;
    const json& single = Member(step, "single");
    if (!single.is_array() || single.empty()) return BadTokenizer("post_processor: no single");
    const std::string first = TextOf(Member(Member(single[0], "SpecialToken"), "id"));
    if (!first.empty()) piece = first;
  }
  if (piece.empty()) return -1;
  const int32_t id = tokenizer.Find(piece);
  if (id >= 0) return id;
  return BadTokenizer("texts begin with '" + Printable(piece) + "', which is no token");
}

}  // namespace signum
