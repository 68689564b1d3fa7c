#pragma once

#include <array>
#include <bit>
#include <cstdint>

namespace signum::ops {

// SHA-256 (FIPS 180-4) of 64-byte blocks, for the kernel that hashes many chunks at once and as its
// reference. Programs on the CPU use OpenSSL (storage/base/digest.h).
struct Sha256State {
  uint32_t h[8] = {0x6a09e667U, 0xbb67ae85U, 0x3c6ef372U, 0xa54ff53aU,
                   0x510e527fU, 0x9b05688cU, 0x1f83d9abU, 0x5be0cd19U};
};

constexpr uint32_t TurnRight(uint32_t x, unsigned by) { return x >> by | x << (32 - by); }

// Takes in a block of 16 words (big-endian in the message); `w` is used up.
constexpr void Sha256Block(Sha256State& state, uint32_t* w) {
  constexpr uint32_t kRound[64] = {
      0x428a2f98U, 0x71374491U, 0xb5c0fbcfU, 0xe9b5dba5U, 0x3956c25bU, 0x59f111f1U, 0x923f82a4U,
      0xab1c5ed5U, 0xd807aa98U, 0x12835b01U, 0x243185beU, 0x550c7dc3U, 0x72be5d74U, 0x80deb1feU,
      0x9bdc06a7U, 0xc19bf174U, 0xe49b69c1U, 0xefbe4786U, 0x0fc19dc6U, 0x240ca1ccU, 0x2de92c6fU,
      0x4a7484aaU, 0x5cb0a9dcU, 0x76f988daU, 0x983e5152U, 0xa831c66dU, 0xb00327c8U, 0xbf597fc7U,
      0xc6e00bf3U, 0xd5a79147U, 0x06ca6351U, 0x14292967U, 0x27b70a85U, 0x2e1b2138U, 0x4d2c6dfcU,
      0x53380d13U, 0x650a7354U, 0x766a0abbU, 0x81c2c92eU, 0x92722c85U, 0xa2bfe8a1U, 0xa81a664bU,
      0xc24b8b70U, 0xc76c51a3U, 0xd192e819U, 0xd6990624U, 0xf40e3585U, 0x106aa070U, 0x19a4c116U,
      0x1e376c08U, 0x2748774cU, 0x34b0bcb5U, 0x391c0cb3U, 0x4ed8aa4aU, 0x5b9cca4fU, 0x682e6ff3U,
      0x748f82eeU, 0x78a5636fU, 0x84c87814U, 0x8cc70208U, 0x90befffaU, 0xa4506cebU, 0xbef9a3f7U,
      0xc67178f2U};
  uint32_t a = state.h[0];
  uint32_t b = state.h[1];
  uint32_t c = state.h[2];
  uint32_t d = state.h[3];
  uint32_t e = state.h[4];
  uint32_t f = state.h[5];
  uint32_t g = state.h[6];
  uint32_t h = state.h[7];
#ifdef __CUDA_ARCH__
#pragma unroll  // so that w stays in registers
#endif
  for (int i = 0; i < 64; ++i) {
    uint32_t& word = w[i % 16];
    if (i >= 16) {
      const uint32_t w15 = w[(i + 1) % 16];
      const uint32_t w2 = w[(i + 14) % 16];
      word += (TurnRight(w15, 7) ^ TurnRight(w15, 18) ^ w15 >> 3) + w[(i + 9) % 16] +
              (TurnRight(w2, 17) ^ TurnRight(w2, 19) ^ w2 >> 10);
    }
    const uint32_t s1 = TurnRight(e, 6) ^ TurnRight(e, 11) ^ TurnRight(e, 25);
    const uint32_t t1 = h + s1 + ((e & f) ^ (~e & g)) + kRound[i] + word;
    const uint32_t s0 = TurnRight(a, 2) ^ TurnRight(a, 13) ^ TurnRight(a, 22);
    const uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g;
    g = f;
    f = e;
    e = d + t1;
    d = c;
    c = b;
    b = a;
    a = t1 + t2;
  }
  const uint32_t add[8] = {a, b, c, d, e, f, g, h};
  for (int i = 0; i < 8; ++i) state.h[i] += add[i];
}

// Word `i` (four bytes) of the 64-byte block at `at` of a message of `bytes` bytes, its padding
// included: after the message one bit, zeros, and in the last block its length in bits.
constexpr uint32_t PaddedWord(const uint8_t* message, uint64_t bytes, uint64_t at, int i) {
  const uint64_t first = at + static_cast<uint64_t>(4 * i);
  if (at + 64 >= bytes + 9 && i >= 14) {  // the last block
    return static_cast<uint32_t>(i == 14 ? bytes >> 29 : bytes << 3);
  }
  uint32_t word = 0;
  for (uint64_t b = first; b < first + 4; ++b) {
    word = word << 8 | (b < bytes ? message[b] : b == bytes ? 0x80U : 0U);
  }
  return word;
}

constexpr uint32_t BigEndian(uint32_t word) {
  return word >> 24 | (word >> 8 & 0xff00U) | (word << 8 & 0xff0000U) | word << 24;
}

}  // namespace signum::ops
