#include "gpu/tokenizer/piece_text.h"

#include <charconv>
#include <optional>

namespace signum {
namespace {

std::optional<char> ByteOf(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return std::nullopt;
  unsigned value = 0;
  const auto [end, error] = std::from_chars(piece.data() + 3, piece.data() + 5, value, 16);
  if (error != std::errc() || end != piece.data() + 5) return std::nullopt;
  return static_cast<char>(value);
}

std::string Replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  while (!text.empty()) {
    const bool found = text.starts_with(from);
    out += found ? to : text.substr(0, 1);
    text.remove_prefix(found ? from.size() : 1);
  }
  return out;
}

}  // namespace

std::string TextOfPiece(std::string_view piece, bool byte) {
  if (byte) return {ByteOf(piece).value_or('\0')};
  return Replaced(piece, kPieceBlank, " ");
}

std::string TextOfPiece(std::string_view piece) {
  return TextOfPiece(piece, ByteOf(piece).has_value());
}

std::string WithBoundaries(std::string_view text) { return Replaced(text, " ", kPieceBlank); }

}  // namespace signum
