#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace signum {

// How the numbers of a tensor lie in its bytes. Values are persisted: never renumber.
enum class NumberKind : uint8_t {
  kBytes = 0,    // no numbers: the bytes of a file, taken as they are; one byte wide
  kInteger = 1,  // two's complement or unsigned
  kFloat = 2,    // sign and magnitude, as IEEE 754 and its kin
};

struct NumberLayout {
  NumberKind kind = NumberKind::kBytes;
  uint8_t width = 1;  // bytes a number: 1, 2, 4 or 8

  bool operator==(const NumberLayout&) const = default;
};

inline constexpr size_t kMostPlanes = 8;

// Bytes of `count` numbers' low bits; 0 for a shift of 0.
constexpr size_t PackedBytes(size_t shift, size_t count) { return (count * shift + 7) / 8; }

// Takes `count` little-endian numbers apart. Of each there is
//   z_i = zigzag(s(fine_i) - s(base_i))  mod 2^n,  zigzag(d) = 2d xor (d < 0 ? 2^n - 1 : 0)
// where s maps a float's bits to an integer of the same order (x where the sign bit is clear, else
// x with all other bits inverted) and is the identity for integers. planes[p · count + i] is byte p
// of z_i >> shift (0, 1, 2 or 4). The low bits, which are noise more often than not, go packed to
// `low`: number g · n + j is in bits g · shift … of byte j, with n = PackedBytes(shift, count).
// kBytes copies. `base` holds as many numbers; nothing needs to be aligned.
void SplitDifference(const NumberLayout& layout, size_t shift, const std::byte* fine,
                     const std::byte* base, size_t count, std::byte* planes, std::byte* low);

// The inverse; each plane lies where it likes.
void JoinDifference(const NumberLayout& layout, size_t shift,
                    const std::array<const std::byte*, kMostPlanes>& planes, const std::byte* low,
                    const std::byte* base, size_t count, std::byte* fine);

// For tests and timing: forces one implementation by name, "scalar" or a Highway target in lower
// case; "" is the best again. All give the same bits. False, and nothing changes, where this build
// or processor lacks it. Not to be called while others run.
bool ForcePlanesSimd(std::string_view name);
std::vector<std::string> PlanesSimdNames();  // "scalar" first

}  // namespace signum
