#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace signum {

// The bytes that a token of byte-level BPE stands for. Vocabularies spell each byte as a printable
// character (Radford et al. 2019, GPT-2): itself where it is printable in Latin-1, else U+0100 and
// on, in ascending order. nullopt where a character stands for no byte.
std::optional<std::string> BytesOfPiece(std::string_view piece);

}  // namespace signum
