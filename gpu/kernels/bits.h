#pragma once

#include <cstddef>
#include <cstdint>

namespace signum::kernels {

// sign1-sparse keeps signs of changed weights only; these gather and scatter them. Bits lie LSB
// first.

// Number of ones among the first n bits.
uint64_t CountBits(const uint8_t* bits, size_t n);

// Appends, for each one of mask[0, n), the bit of `bits` at its place to `out` from bit `at` on,
// and returns the bit after the last. Bits of `out` at and after `at` must be 0.
uint64_t GatherBits(const uint8_t* bits, const uint8_t* mask, size_t n, uint8_t* out, uint64_t at);

// The reverse: puts the bits of `packed` from bit `at` on where mask[0, n) has ones, zeros
// elsewhere; writes ceil(n / 8) bytes and returns the bit after the last one read.
uint64_t ScatterBits(const uint8_t* packed, uint64_t at, const uint8_t* mask, size_t n,
                     uint8_t* out);

// Appends the first n bits of `from` to `out` from bit `at` on. Bits of `out` at and after `at`
// must be 0, and so must those of `from` from n to the end of its last byte.
void CopyBits(const uint8_t* from, uint64_t n, uint8_t* out, uint64_t at);

}  // namespace signum::kernels
