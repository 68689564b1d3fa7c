#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "gpu/kernels/element.h"
#include "gpu/kernels/scalar.h"

// Elements of every type as float32, with the conversions of gpu/kernels/scalar.h: the same bits as
// on the CPU. Pointers are aligned for their elements (Aligned() checks that before a launch).

namespace signum::cuda {

using kernels::Element;

// Columns are taken eight at a time: a byte of signs, and 16 bytes of 2-byte elements.
inline constexpr int kOctet = 8;

inline bool Aligned(const void* pointer, size_t bytes) {
  return reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
}

__device__ inline float LoadOne(Element type, const void* from, int64_t i) {
  switch (type) {
    case Element::kF64:
      return __double2float_rn(static_cast<const double*>(from)[i]);
    case Element::kF32:
      return static_cast<const float*>(from)[i];
    case Element::kF16:
      return kernels::FromF16(static_cast<const uint16_t*>(from)[i]);
    default:
      return kernels::FromBf16(static_cast<const uint16_t*>(from)[i]);
  }
}

__device__ inline void StoreOne(Element type, void* to, int64_t i, float value) {
  switch (type) {
    case Element::kF64:
      static_cast<double*>(to)[i] = static_cast<double>(value);
      return;
    case Element::kF32:
      static_cast<float*>(to)[i] = value;
      return;
    case Element::kF16:
      static_cast<uint16_t*>(to)[i] = kernels::ToF16(value);
      return;
    default:
      static_cast<uint16_t*>(to)[i] = kernels::ToBf16(value);
  }
}

template <Element kType>
__device__ float FromHalf(unsigned bits) {
  const auto half = static_cast<uint16_t>(bits);
  return kType == Element::kF16 ? kernels::FromF16(half) : kernels::FromBf16(half);
}
template <Element kType>
__device__ unsigned ToHalf(float value) {
  return kType == Element::kF16 ? kernels::ToF16(value) : kernels::ToBf16(value);
}

// Eight elements of row `from` from column `first` on, those at and beyond n as 0.
__device__ inline void LoadSome(Element type, const void* from, int64_t first, int64_t n,
                                float* out) {
  for (int e = 0; e < kOctet; ++e) out[e] = first + e < n ? LoadOne(type, from, first + e) : 0.0F;
}

// Eight elements at an address aligned to 16 bytes; kType is F32, F16 or BF16.
template <Element kType>
__device__ void LoadOctet(const void* from, int64_t first, float* out) {
  if constexpr (kType == Element::kF32) {
    const auto* at = reinterpret_cast<const float4*>(static_cast<const float*>(from) + first);
    const float4 low = at[0];
    const float4 high = at[1];
    out[0] = low.x, out[1] = low.y, out[2] = low.z, out[3] = low.w;
    out[4] = high.x, out[5] = high.y, out[6] = high.z, out[7] = high.w;
  } else {
    const uint4 raw = *reinterpret_cast<const uint4*>(static_cast<const uint16_t*>(from) + first);
    const unsigned words[4] = {raw.x, raw.y, raw.z, raw.w};
    for (int w = 0; w < 4; ++w) {
      out[2 * w] = FromHalf<kType>(words[w] & 0xffffU);
      out[2 * w + 1] = FromHalf<kType>(words[w] >> 16);
    }
  }
}

template <Element kType>
__device__ void StoreOctet(void* to, int64_t first, const float* values) {
  if constexpr (kType == Element::kF32) {
    auto* at = reinterpret_cast<float4*>(static_cast<float*>(to) + first);
    at[0] = make_float4(values[0], values[1], values[2], values[3]);
    at[1] = make_float4(values[4], values[5], values[6], values[7]);
  } else {
    unsigned words[4];
    for (int w = 0; w < 4; ++w) {
      words[w] = ToHalf<kType>(values[2 * w]) | ToHalf<kType>(values[2 * w + 1]) << 16;
    }
    *reinterpret_cast<uint4*>(static_cast<uint16_t*>(to) + first) =
        uint4{words[0], words[1], words[2], words[3]};
  }
}

}  // namespace signum::cuda
