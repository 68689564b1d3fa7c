#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace signum {

using ConstBytes = std::span<const std::byte>;
using MutableBytes = std::span<std::byte>;

inline ConstBytes AsBytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view AsText(ConstBytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Unaligned little-endian load and store of an integer or float (every supported host is
// little-endian).
template <class T>
requires std::is_trivially_copyable_v<T> T LoadLe(const void* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}
template <class T>
requires std::is_trivially_copyable_v<T>
void StoreLe(void* to, T value) { std::memcpy(to, &value, sizeof(T)); }

std::string HexEncode(ConstBytes bytes);
std::string Base64Encode(ConstBytes bytes);
// Returns false unless `text` is canonical padded base64 (RFC 4648 §4).
[[nodiscard]] bool Base64Decode(std::string_view text, std::string* out);

}  // namespace signum
