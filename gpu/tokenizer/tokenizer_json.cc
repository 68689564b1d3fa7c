#include <algorithm>

#include "gpu/tokenizer/added_tokens.h"
#include "gpu/tokenizer/byte_alphabet.h"
#include "gpu/tokenizer/byte_pairs.h"
#include "gpu/tokenizer/json_fields.h"
#include "gpu/tokenizer/split_text.h"
#include "gpu/tokenizer/tokenizer.h"
#include "gpu/tokenizer/utf8.h"

// Hugging Face's tokenizer.json (the serialization of its library "tokenizers"), of byte-level BPE.

namespace signum {
namespace {

using nlohmann::json;

// Options of the model that change what it does, where they are set.
Result<void> CheckModel(const json& model) {
  const std::string type = TextOf(Member(model, "type"));
  if (!type.empty() && type != "BPE") {
    return UnsupportedTokenizer("model.type '" + Printable(type) + "'");
  }
  for (const char* name : {"dropout", "unk_token", "continuing_subword_prefix",
                           "end_of_word_suffix", "byte_fallback", "fuse_unk"}) {
    const json& value = Member(model, name);
    const bool no_text = value.is_string() && TextOf(value).empty();
    if (value.is_null() || value == false || value == 0.0 || no_text) continue;
    return UnsupportedTokenizer("model." + std::string(name));
  }
  if (!Member(model, "vocab").is_object()) return BadTokenizer("model.vocab is no object");
  if (!Member(model, "merges").is_array()) return BadTokenizer("model.merges is no list");
  return {};
}

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

class ByteLevelBpe final : public Tokenizer {
 public:
  Result<void> Load(const json& file, std::string_view bos) {
    const json& model = Member(file, "model");
    SIGNUM_TRY(CheckModel(model));
    SIGNUM_ASSIGN(split_, SplitText::Parse(file));
    SIGNUM_ASSIGN(added_, AddedTokens::Parse(file));
    if (TextOf(Member(Member(file, "decoder"), "type")) != "ByteLevel") {
      return UnsupportedTokenizer("a decoder other than ByteLevel");
    }
    SIGNUM_TRY(LoadVocabulary(Member(model, "vocab")));
    SIGNUM_TRY(LoadMerges(Member(model, "merges")));
    if (FlagOf(model, "ignore_merges", false)) pairs_.PreferWholeWords();
    pairs_.Finish();
    AddAddedPieces();
    return FindBegin(Member(file, "post_processor"), bos);
  }

  std::vector<int32_t> Encode(std::string_view text, Controls controls) const override {
    const std::string clean = CleanUtf8(std::string(text));
    std::vector<int32_t> ids;
    added_.Split(
        clean, controls,
        [&](std::string_view part) {
          split_.ForEachWord(part, [&](std::string_view word) { pairs_.Encode(word, ids); });
        },
        [&](int32_t token) { ids.push_back(token); });
    return ids;
  }

  std::vector<int32_t> EncodeRest(std::string_view text) const override {
    return Encode(text, Controls::kText);
  }

  using Tokenizer::FindControls;
  std::vector<ControlToken> FindControls(std::string_view text, size_t begin,
                                         size_t end) const override {
    return added_.FindAll(text, begin, end);
  }

  std::string Piece(int32_t token) const override {
    if (token < 0 || static_cast<size_t>(token) >= pieces_.size()) return "";
    return pieces_[static_cast<size_t>(token)];
  }

  int32_t Find(std::string_view piece) const override {
    const AddedTokens::Token* token = added_.Find(piece);
    return token != nullptr ? token->id : pairs_.Find(piece);
  }

  int32_t bos() const override { return bos_; }
  int32_t eos() const override { return -1; }
  int64_t size() const override { return static_cast<int64_t>(pieces_.size()); }
  bool blank_first() const override { return false; }

 private:
  std::string& PieceAt(int32_t id) {
    const auto at = static_cast<size_t>(id);
    if (at >= pieces_.size()) pieces_.resize(at + 1);
    return pieces_[at];
  }

  Result<void> LoadVocabulary(const json& vocabulary) {
    for (const auto& [piece, id] : vocabulary.items()) {
      if (piece.empty() || !id.is_number_unsigned() || id.get<uint64_t>() >= kMaxTokens) {
        return BadTokenizer("model.vocab: '" + Printable(piece) + "' has no id that can be");
      }
      // A piece in other characters is never merged to, and stands for itself.
      const auto bytes = BytesOfPiece(piece);
      PieceAt(id.get<int32_t>()) = bytes.value_or(piece);
      if (bytes) pairs_.AddToken(*bytes, id.get<int32_t>());
    }
    return {};
  }

  Result<void> LoadMerges(const json& merges) {
    std::string left, right;
    for (size_t at = 0; at < merges.size(); ++at) {
      const auto bad = [&] { return BadTokenizer("model.merges[" + std::to_string(at) + "]"); };
      if (!ReadMerge(merges[at], left, right)) return bad();
      const auto a = BytesOfPiece(left), b = BytesOfPiece(right);
      if (!a || !b || !pairs_.AddMerge(*a, *b)) return bad();
    }
    return {};
  }

  void AddAddedPieces() {
    for (const auto& [content, token] : added_.tokens()) {
      PieceAt(token.id) = token.special ? "" : content;
    }
  }

  // A template that begins with a token of its own says which; else `bos`.
  Result<void> FindBegin(const json& post_processor, std::string_view bos) {
    std::string piece(bos);
    for (const json& step : StepsOf(post_processor, "processors")) {
      if (TextOf(Member(step, "type")) != "TemplateProcessing") continue;
      const json& single = Member(step, "single");
      if (!single.is_array() || single.empty()) return BadTokenizer("post_processor: no single");
      const std::string first = TextOf(Member(Member(single[0], "SpecialToken"), "id"));
      if (!first.empty()) piece = first;
    }
    if (piece.empty()) return {};
    bos_ = Find(piece);
    if (bos_ >= 0) return {};
    return BadTokenizer("texts begin with '" + Printable(piece) + "', which is no token");
  }

  SplitText split_;
  AddedTokens added_;
  BytePairs pairs_;
  std::vector<std::string> pieces_;  // by id
  int32_t bos_ = -1;
};

}  // namespace

Result<std::shared_ptr<const Tokenizer>> OpenTokenizerJson(std::string_view text,
                                                           std::string_view bos) {
  const json file = json::parse(text, nullptr, false);
  if (!file.is_object()) return BadTokenizer("it is no JSON object");
  auto out = std::make_shared<ByteLevelBpe>();
  SIGNUM_TRY(out->Load(file, bos));
  return std::shared_ptr<const Tokenizer>(std::move(out));
}

}  // namespace signum
