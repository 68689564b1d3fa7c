#pragma once

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

// Takes `count` little-endian numbers apart into byte planes: planes[p · count + i] is byte p of
//   z_i = zigzag(s(fine_i) - s(base_i))  mod 2^n,  zigzag(d) = 2d xor (d < 0 ? 2^n - 1 : 0)
// where s maps a float's bits to an integer of the same order (x where the sign bit is clear, else
// x with all other bits inverted) and is the identity for integers. kBytes copies. `base` holds as
// many numbers; nothing needs to be aligned.
void SplitDifference(const NumberLayout& layout, const std::byte* fine, const std::byte* base,
                     size_t count, std::byte* planes);

// The inverse.
void JoinDifference(const NumberLayout& layout, const std::byte* planes, const std::byte* base,
                    size_t count, std::byte* fine);

// Moves the boundaries between planes up by `shift` bits (1, 2 or 4): makes the planes of `width`
// bytes of `count` numbers z those of z >> shift, and writes the low bits, which are noise more
// often than not, packed to `low`: number g · n + j is in bits g · shift … of byte j, with
// n = PackedBytes(shift, count). UnshiftPlanes is the inverse.
void ShiftPlanes(size_t shift, size_t width, size_t count, std::byte* planes, std::byte* low);
void UnshiftPlanes(size_t shift, size_t width, size_t count, const std::byte* low,
                   std::byte* planes);

// Bytes of `count` numbers' low bits; 0 for a shift of 0.
constexpr size_t PackedBytes(size_t shift, size_t count) { return (count * shift + 7) / 8; }

// For tests and timing: forces one implementation by name, "scalar" or a Highway target in lower
// case; "" is the best again. All give the same bits. False, and nothing changes, where this build
// or processor lacks it. Not to be called while others run.
bool ForcePlanesSimd(std::string_view name);
std::vector<std::string> PlanesSimdNames();  // "scalar" first

}  // namespace signum
