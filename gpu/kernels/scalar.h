#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "gpu/kernels/element.h"

// One element at a time: what the references use, and what the vector code must equal bit for bit.
// constexpr so that CUDA kernels may call them (--expt-relaxed-constexpr).
namespace signum::kernels {

constexpr float FromBf16(uint16_t h) {
  return std::bit_cast<float>(static_cast<uint32_t>(h) << 16);
}

// Rounds to nearest, ties to even. A NaN keeps its upper payload and becomes quiet.
constexpr uint16_t ToBf16(float value) {
  const uint32_t u = std::bit_cast<uint32_t>(value);
  if ((u & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((u >> 16) | 0x40u);
  return static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

// Exact, subnormals too (computed without touching float32 subnormals, whatever the FPU's flags).
constexpr float FromF16(uint16_t h) {
  constexpr uint32_t kBias = 112u << 23;
  constexpr uint32_t kSubnormal = 113u << 23;
  const uint32_t magnitude = (h & 0x7fffu) << 13;
  const uint32_t exponent = h & 0x7c00u;
  uint32_t out = magnitude + kBias;
  if (exponent == 0x7c00u) {
    out = magnitude | 0x7f800000u;
  } else if (exponent == 0) {
    out = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude + kSubnormal) -
                                  std::bit_cast<float>(kSubnormal));
  }
  return std::bit_cast<float>(out | (static_cast<uint32_t>(h & 0x8000u) << 16));
}

// Rounds to nearest, ties to even; overflow gives infinity, every NaN 0x7e00 with its sign.
constexpr uint16_t ToF16(float value) {
  constexpr uint32_t kOverflow = 143u << 23;  // 65536
  constexpr uint32_t kNormal = 113u << 23;    // 2^-14
  constexpr uint32_t kRounding = 126u << 23;  // adding 0.5 leaves the subnormal in the low bits
  const uint32_t u = std::bit_cast<uint32_t>(value);
  const uint32_t magnitude = u & 0x7fffffffu;
  uint32_t out;
  if (magnitude >= kOverflow) {
    out = magnitude > 0x7f800000u ? 0x7e00u : 0x7c00u;
  } else if (magnitude < kNormal) {
    out =
        std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + std::bit_cast<float>(kRounding)) -
        kRounding;
  } else {
    out = (magnitude - (112u << 23) + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  }
  return static_cast<uint16_t>(out | ((u >> 16) & 0x8000u));
}

template <class T>
T LoadAs(const void* data, size_t i) {
  T value;
  std::memcpy(&value, static_cast<const char*>(data) + i * sizeof(T), sizeof(T));
  return value;
}
template <class T>
void StoreAs(void* data, size_t i, T value) {
  std::memcpy(static_cast<char*>(data) + i * sizeof(T), &value, sizeof(T));
}

inline float LoadElement(ConstRow row, size_t i) {
  switch (row.type) {
    case Element::kF64:
      return static_cast<float>(LoadAs<double>(row.data, i));
    case Element::kF32:
      return LoadAs<float>(row.data, i);
    case Element::kF16:
      return FromF16(LoadAs<uint16_t>(row.data, i));
    case Element::kBF16:
      return FromBf16(LoadAs<uint16_t>(row.data, i));
  }
  return 0;
}

inline void StoreElement(MutableRow row, size_t i, float value) {
  switch (row.type) {
    case Element::kF64:
      return StoreAs<double>(row.data, i, value);
    case Element::kF32:
      return StoreAs<float>(row.data, i, value);
    case Element::kF16:
      return StoreAs<uint16_t>(row.data, i, ToF16(value));
    case Element::kBF16:
      return StoreAs<uint16_t>(row.data, i, ToBf16(value));
  }
}

inline bool TestBit(const uint8_t* bits, size_t i) { return (bits[i / 8] >> (i % 8)) & 1; }
inline void SetBit(uint8_t* bits, size_t i) {
  bits[i / 8] = static_cast<uint8_t>(bits[i / 8] | (1u << (i % 8)));
}

}  // namespace signum::kernels
