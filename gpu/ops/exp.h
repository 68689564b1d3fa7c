#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace signum::ops {

// exp(x) in float32 arithmetic that compilers turn into vector code: x = n ln 2 + r, a polynomial
// of degree 6 in r (Taylor's to degree 7, its last term economized by T7), then 2^n by its exponent
// bits. Relative error under 2e-7 for |x| < 87; beyond, x is taken as -87 or 88 (never 0, never
// infinite). NaN in, NaN out.
inline float Exp(float x) {
  x = std::min(std::max(x, -87.0F), 88.0F);
  const float scaled =
      std::max(-126.0F, x * 1.44269504F);  // in this order a NaN, which has no n, is -126
  const float n = static_cast<float>(static_cast<int32_t>(scaled + (scaled < 0 ? -0.5F : 0.5F)));
  const float r = (x - n * 0.693145752F) - n * 1.42860677e-6F;  // ln 2 in two parts
  float p = 1.3888889e-3F;
  p = p * r + 8.3750384e-3F;
  p = p * r + 4.16666667e-2F;
  p = p * r + 1.66664161e-1F;
  p = p * r + 0.5F;
  p = p * r + 1.0F;
  p = p * r + 1.0F;
  const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}

}  // namespace signum::ops
