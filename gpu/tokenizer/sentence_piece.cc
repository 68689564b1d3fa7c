#include "gpu/tokenizer/tokenizer.h"

#include <sentencepiece_processor.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "gpu/tokenizer/added_tokens.h"
#include "gpu/tokenizer/json_fields.h"
#include "gpu/tokenizer/piece_text.h"
#include "storage/base/name.h"

namespace signum {
namespace {

using nlohmann::json;

// A model's protobuf goes on with it: what comes later counts, so this sets add_dummy_prefix of
// normalizer_spec to false (fields 3 and 3 of sentencepiece_model.proto).
constexpr std::string_view kNoDummyPrefix("\x1a\x02\x18\x00", 4);

class SentencePiece final : public Tokenizer {
 public:
  Result<void> Load(std::string_view model, std::string_view added) {
    const auto loaded = processor_.LoadFromSerializedProto({model.data(), model.size()});
    if (!loaded.ok()) {
      return Fail(Errc::kUnusable, "bad_tokenizer",
                  "tokenizer.model is not a SentencePiece model: " + Printable(loaded.message()));
    }
    json controls = json::array();
    for (int id = 0; id < processor_.GetPieceSize(); ++id) {
      if (!processor_.IsControl(id)) continue;
      controls.push_back({{"id", static_cast<uint64_t>(id)},
                          {"content", processor_.IdToPiece(id)},
                          {"special", true}});
    }
    const json more = json::parse(added.empty() ? "[]" : added, nullptr, false);
    if (!more.is_array()) {
      return Fail(Errc::kUnusable, "bad_tokenizer", "the added tokens are no list");
    }
    controls.insert(controls.end(), more.begin(), more.end());
    SIGNUM_ASSIGN(controls_, AddedTokens::Parse({{"added_tokens", std::move(controls)}}));
    size_ = processor_.GetPieceSize();
    for (const auto& [content, token] : controls_.tokens()) {
      size_ = std::max<int64_t>(size_, token.id + 1);
      added_pieces_[token.id] = token.special ? "" : content;
    }
    return {};
  }

  std::vector<int32_t> Encode(std::string_view text, Controls /*controls*/) const override {
    std::vector<int32_t> ids;
    (void)processor_.Encode({text.data(), text.size()}, &ids);
    return ids;
  }

  std::vector<int32_t> EncodeRest(std::string_view text) const override {
    std::call_once(rest_once_, [&] {
      (void)rest_.LoadFromSerializedProto(
          std::string(processor_.serialized_model_proto()).append(kNoDummyPrefix));
    });
    std::vector<int32_t> ids;
    (void)rest_.Encode({text.data(), text.size()}, &ids);
    return ids;
  }

  using Tokenizer::FindControls;
  std::vector<ControlToken> FindControls(std::string_view text, size_t begin,
                                         size_t end) const override {
    return controls_.FindAll(text, begin, end);
  }

  std::string Piece(int32_t token) const override {
    if (const auto at = added_pieces_.find(token); at != added_pieces_.end()) return at->second;
    if (token < 0 || token >= processor_.GetPieceSize()) return "";
    if (processor_.IsControl(token) || processor_.IsUnused(token)) return "";
    return TextOfPiece(processor_.IdToPiece(token), processor_.IsByte(token));
  }

  int32_t Find(std::string_view piece) const override {
    if (const AddedTokens::Token* token = controls_.Find(piece)) return token->id;
    const int32_t id = processor_.PieceToId({piece.data(), piece.size()});
    if (id < 0 || id >= processor_.GetPieceSize() || processor_.IsUnknown(id)) return -1;
    return id;
  }

  int32_t bos() const override { return processor_.bos_id(); }
  int32_t eos() const override { return processor_.eos_id(); }
  int64_t size() const override { return size_; }
  bool blank_first() const override { return true; }

 private:
  sentencepiece::SentencePieceProcessor processor_;
  AddedTokens controls_;  // the control pieces, and what was added to the model's
  std::map<int32_t, std::string> added_pieces_;
  int64_t size_ = 0;
  // For EncodeRest, made when it is first asked for.
  mutable std::once_flag rest_once_;
  mutable sentencepiece::SentencePieceProcessor rest_;
};

}  // namespace

Result<std::shared_ptr<const Tokenizer>> OpenSentencePiece(std::string_view model,
                                                           std::string_view added) {
  auto out = std::make_shared<SentencePiece>();
  SIGNUM_TRY(out->Load(model, added));
  return std::shared_ptr<const Tokenizer>(std::move(out));
}

}  // namespace signum
