#include "gpu/tokenizer/tokenizer.h"

#include <sentencepiece_processor.h>

#include <charconv>
#include <mutex>
#include <optional>

#include "gpu/tokenizer/pattern.h"
#include "storage/base/name.h"

namespace signum {
namespace {

constexpr std::string_view kBoundary = "\xe2\x96\x81";  // U+2581, SentencePiece's blank

// A model's protobuf goes on with it: what comes later counts, so this sets add_dummy_prefix of
// normalizer_spec to false (fields 3 and 3 of sentencepiece_model.proto).
constexpr std::string_view kNoDummyPrefix("\x1a\x02\x18\x00", 4);

std::string WithBlanks(std::string_view piece) {
  std::string out;
  while (!piece.empty()) {
    const bool blank = piece.starts_with(kBoundary);
    out += blank ? ' ' : piece[0];
    piece.remove_prefix(blank ? kBoundary.size() : 1);
  }
  return out;
}

// "<0x0A>" as its byte.
std::string ByteOf(std::string_view piece) {
  unsigned value = 0;
  if (piece.size() == 6) std::from_chars(piece.data() + 3, piece.data() + 5, value, 16);
  return {static_cast<char>(value)};
}

class SentencePiece final : public Tokenizer {
 public:
  Result<void> Load(std::string_view model) {
    const auto loaded = processor_.LoadFromSerializedProto({model.data(), model.size()});
    if (!loaded.ok()) {
      return Fail(Errc::kUnusable, "bad_tokenizer",
                  "tokenizer.model is not a SentencePiece model: " + Printable(loaded.message()));
    }
    std::vector<std::string> controls;
    for (int id = 0; id < processor_.GetPieceSize(); ++id) {
      if (processor_.IsControl(id)) controls.push_back(processor_.IdToPiece(id));
    }
    if (controls.empty()) return {};
    SIGNUM_ASSIGN(controls_, Pattern::AnyOf(std::move(controls)));
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

  std::vector<ControlToken> FindControls(std::string_view text) const override {
    std::vector<ControlToken> out;
    if (!controls_) return out;
    controls_->Split(text, [&](std::string_view part, bool matched) {
      const auto begin = static_cast<size_t>(part.data() - text.data());
      if (matched) out.push_back({begin, begin + part.size(), Find(part)});
    });
    return out;
  }

  std::string Piece(int32_t token) const override {
    if (token < 0 || token >= processor_.GetPieceSize()) return "";
    if (processor_.IsControl(token) || processor_.IsUnused(token)) return "";
    const std::string& piece = processor_.IdToPiece(token);
    if (processor_.IsByte(token)) return ByteOf(piece);
    return WithBlanks(piece);
  }

  int32_t Find(std::string_view piece) const override {
    const int32_t id = processor_.PieceToId({piece.data(), piece.size()});
    if (id < 0 || id >= processor_.GetPieceSize() || processor_.IsUnknown(id)) return -1;
    return id;
  }

  int32_t bos() const override { return processor_.bos_id(); }
  int32_t eos() const override { return processor_.eos_id(); }
  int64_t size() const override { return processor_.GetPieceSize(); }
  bool blank_first() const override { return true; }

 private:
  sentencepiece::SentencePieceProcessor processor_;
  std::optional<Pattern> controls_;  // any of the control pieces
  // For EncodeRest, made when it is first asked for.
  mutable std::once_flag rest_once_;
  mutable sentencepiece::SentencePieceProcessor rest_;
};

}  // namespace

Result<std::shared_ptr<const Tokenizer>> OpenSentencePiece(std::string_view model) {
  auto out = std::make_shared<SentencePiece>();
  SIGNUM_TRY(out->Load(model));
  return std::shared_ptr<const Tokenizer>(std::move(out));
}

}  // namespace signum
