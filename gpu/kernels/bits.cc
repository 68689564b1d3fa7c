#include "gpu/kernels/bits.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "gpu/kernels/element.h"
#include "gpu/kernels/scalar.h"

namespace signum::kernels {
namespace {

// Bits [i, i + 64) of n, those from n on as 0.
uint64_t Word(const uint8_t* bits, size_t i, size_t n) {
  const size_t left = n - i;
  uint64_t word = 0;
  std::memcpy(&word, bits + i / 8, std::min<size_t>(8, BitBytes(left)));
  return left < 64 ? word & ((uint64_t{1} << left) - 1) : word;
}

}  // namespace

uint64_t CountBits(const uint8_t* bits, size_t n) {
  uint64_t count = 0;
  for (size_t i = 0; i < n; i += 64)
    count += static_cast<uint64_t>(std::popcount(Word(bits, i, n)));
  return count;
}

uint64_t GatherBits(const uint8_t* bits, const uint8_t* mask, size_t n, uint8_t* out, uint64_t at) {
  for (size_t i = 0; i < n; i += 64) {
    const uint64_t values = Word(bits, i, n);
    for (uint64_t left = Word(mask, i, n); left != 0; left &= left - 1) {
      if ((values >> std::countr_zero(left)) & 1) SetBit(out, at);
      ++at;
    }
  }
  return at;
}

uint64_t ScatterBits(const uint8_t* packed, uint64_t at, const uint8_t* mask, size_t n,
                     uint8_t* out) {
  for (size_t i = 0; i < n; i += 64) {
    uint64_t word = 0;
    for (uint64_t left = Word(mask, i, n); left != 0; left &= left - 1) {
      if (TestBit(packed, at++)) word |= left & (~left + 1);
    }
    std::memcpy(out + i / 8, &word, std::min<size_t>(8, BitBytes(n - i)));
  }
  return at;
}

void CopyBits(const uint8_t* from, uint64_t n, uint8_t* out, uint64_t at) {
  const unsigned shift = at % 8;
  uint8_t* to = out + at / 8;
  const uint64_t bytes = BitBytes(n);
  for (uint64_t i = 0; i < bytes; ++i) {
    to[i] = static_cast<uint8_t>(to[i] | (from[i] << shift));
    const auto high = static_cast<uint8_t>(from[i] >> (8 - shift));
    if (high != 0) to[i + 1] = high;  // only where bits remain, so never past the end
  }
}

}  // namespace signum::kernels
