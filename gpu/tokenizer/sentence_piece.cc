#include "gpu/tokenizer/tokenizer.h"

#include <sentencepiece_processor.h>

#include <charconv>

#include "storage/base/name.h"

namespace signum {
namespace {

constexpr std::string_view kBoundary = "\xe2\x96\x81";  // U+2581, SentencePiece's blank

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
    if (loaded.ok()) return {};
    return Fail(Errc::kUnusable, "bad_tokenizer",
                "tokenizer.model is not a SentencePiece model: " + Printable(loaded.message()));
  }

  std::vector<int32_t> Encode(std::string_view text, Controls /*controls*/) const override {
    std::vector<int32_t> ids;
    (void)processor_.Encode({text.data(), text.size()}, &ids);
    return ids;
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
};

}  // namespace

Result<std::shared_ptr<const Tokenizer>> OpenSentencePiece(std::string_view model) {
  auto out = std::make_shared<SentencePiece>();
  SIGNUM_TRY(out->Load(model));
  return std::shared_ptr<const Tokenizer>(std::move(out));
}

}  // namespace signum
