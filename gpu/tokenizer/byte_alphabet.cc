#include "gpu/tokenizer/byte_alphabet.h"

#include <utf8proc.h>

#include <array>
#include <cstdint>

namespace signum {
namespace {

constexpr bool IsPrintable(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

constexpr size_t kCharacters = 256 + 68;  // 68 bytes are not printable

constexpr std::array<int16_t, kCharacters> MakeBytes() {
  std::array<int16_t, kCharacters> bytes{};
  for (auto& byte : bytes) byte = -1;
  size_t next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    bytes[IsPrintable(byte) ? static_cast<size_t>(byte) : next++] = static_cast<int16_t>(byte);
  }
  return bytes;
}

constexpr auto kBytes = MakeBytes();

}  // namespace

std::optional<std::string> BytesOfPiece(std::string_view piece) {
  std::string out;
  while (!piece.empty()) {
    utf8proc_int32_t character = -1;
    const auto length = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(piece.data()),
                                         static_cast<utf8proc_ssize_t>(piece.size()), &character);
    if (length <= 0 || character < 0 || static_cast<size_t>(character) >= kCharacters) return {};
    const int16_t byte = kBytes[static_cast<size_t>(character)];
    if (byte < 0) return {};
    out += static_cast<char>(byte);
    piece.remove_prefix(static_cast<size_t>(length));
  }
  return out;
}

}  // namespace signum
