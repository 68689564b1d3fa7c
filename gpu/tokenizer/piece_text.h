#pragma once

#include <string>
#include <string_view>

// Pieces as SentencePiece spells them, in its own files and in a tokenizer.json.

namespace signum {

inline constexpr std::string_view kPieceBlank = "\xe2\x96\x81";  // U+2581

// The text that a piece stands for: blanks, and of "<0x0A>" its byte. `byte`: whether it is such a
// one, where that is known.
std::string TextOfPiece(std::string_view piece);
std::string TextOfPiece(std::string_view piece, bool byte);
// Text in a piece's spelling.
std::string WithBoundaries(std::string_view text);

}  // namespace signum
