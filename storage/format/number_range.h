#pragma once

#include "storage/base/bytes.h"
#include "storage/format/byte_planes.h"

// What one call of byte_planes' loops works on, and the loops that need no SIMD: private to them.

namespace signum {

// Numbers whose low bits lie in the same bits of as many bytes. Number i is fine[i · width …],
// byte p of z_i >> shift is planes[p][i], and its low bits are low[i] >> bit.
template <class Numbers, class Planes>
struct NumberRange {
  size_t count = 0, shift = 0, bit = 0;
  Numbers* fine = nullptr;
  const uint8_t* base = nullptr;
  std::array<Planes*, kMostPlanes> planes{};
  Planes* low = nullptr;  // split adds to it
};
using SplitRange = NumberRange<const uint8_t, uint8_t>;
using JoinRange = NumberRange<uint8_t, const uint8_t>;

// ---- the reference: numbers from `first` on

template <class T>
T OrderedBits(T bits, bool floats) {
  constexpr T kRest = static_cast<T>(~T{0}) >> 1;
  const bool negative = (bits >> (8 * sizeof(T) - 1)) != 0;
  return floats && negative ? static_cast<T>(bits ^ kRest) : bits;
}

template <class T>
void SplitRest(const SplitRange& range, bool floats, size_t first) {
  for (size_t i = first; i < range.count; ++i) {
    const T f = OrderedBits(LoadLe<T>(range.fine + i * sizeof(T)), floats);
    const T b = OrderedBits(LoadLe<T>(range.base + i * sizeof(T)), floats);
    const auto difference = static_cast<T>(f - b);
    const bool negative = (difference >> (8 * sizeof(T) - 1)) != 0;
    const auto z = static_cast<T>((difference << 1) ^ (negative ? ~T{0} : T{0}));
    if (range.shift > 0) {
      const uint32_t low = static_cast<uint32_t>(z) & ((1u << range.shift) - 1);
      range.low[i] = static_cast<uint8_t>(range.low[i] | low << range.bit);
    }
    const auto high = static_cast<T>(z >> range.shift);
    for (size_t p = 0; p < sizeof(T); ++p) range.planes[p][i] = high >> (8 * p) & 0xff;
  }
}

template <class T>
void JoinRest(const JoinRange& range, bool floats, size_t first) {
  for (size_t i = first; i < range.count; ++i) {
    T z = 0;
    for (size_t p = 0; p < sizeof(T); ++p) {
      z = static_cast<T>(z | static_cast<T>(range.planes[p][i]) << (8 * p));
    }
    if (range.shift > 0) {
      const uint32_t low = range.low[i] >> range.bit & ((1u << range.shift) - 1);
      z = static_cast<T>(static_cast<T>(z << range.shift) | low);
    }
    const auto difference = static_cast<T>((z >> 1) ^ ((z & 1) != 0 ? ~T{0} : T{0}));
    const T b = OrderedBits(LoadLe<T>(range.base + i * sizeof(T)), floats);
    StoreLe(range.fine + i * sizeof(T), OrderedBits(static_cast<T>(difference + b), floats));
  }
}

}  // namespace signum
