#include "gpu/tokenizer/added_tokens.h"
#include "gpu/tokenizer/bpe_json.h"
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

class ByteLevelBpe final : public Tokenizer {
 public:
  Result<void> Load(const json& file, std::string_view bos) {
    const json& model = Member(file, "model");
    SIGNUM_TRY(CheckBpe(model));
    if (FlagOf(model, "byte_fallback", false)) return UnsupportedTokenizer("model.byte_fallback");
    if (!TextOf(Member(model, "unk_token")).empty()) return UnsupportedTokenizer("model.unk_token");
    SIGNUM_ASSIGN(split_, SplitText::Parse(file));
    SIGNUM_ASSIGN(added_, AddedTokens::Parse(file));
    if (TextOf(Member(Member(file, "decoder"), "type")) != "ByteLevel") {
      return UnsupportedTokenizer("a decoder other than ByteLevel");
    }
    const auto token = [&](const std::string& piece, int32_t id) {
      // A piece in other characters is never merged to, and stands for itself.
      const auto bytes = BytesOfPiece(piece);
      PieceAt(id) = bytes.value_or(piece);
      if (bytes) pairs_.AddToken(*bytes, id);
    };
    const auto merge = [&](const std::string& left, const std::string& right) {
      const auto a = BytesOfPiece(left), b = BytesOfPiece(right);
      return a && b && pairs_.AddMerge(*a, *b);
    };
    SIGNUM_TRY(ReadBpe(model, token, merge));
    if (FlagOf(model, "ignore_merges", false)) pairs_.PreferWholeWords();
    (void)pairs_.Finish();
    AddAddedPieces();
    SIGNUM_ASSIGN(bos_, FindBegin(file, bos, *this));
    return {};
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

  void AddAddedPieces() {
    for (const auto& [content, token] : added_.tokens()) {
      PieceAt(token.id) = token.special ? "" : content;
    }
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
  if (FlagOf(Member(file, "model"), "byte_fallback", false)) return OpenPieceBpe(file, bos);
  auto out = std::make_shared<ByteLevelBpe>();
  SIGNUM_TRY(out->Load(file, bos));
  return std::shared_ptr<const Tokenizer>(std::move(out));
}

}  // namespace signum
