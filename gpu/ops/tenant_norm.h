#pragma once

#include <cstdint>

namespace signum::ops {

struct NormWeight {
  const float* w = nullptr;  // [n]
  float eps = 0;
};

// RmsNorm for a batch in which each row has a model of its own: row b of y is RmsNorm of row b of x
// with weights[tenants[b]]. y may be x. A row's result depends on no other.
struct TenantNormArgs {
  const NormWeight* weights = nullptr;  // in the backend's memory, as all they point to
  const int32_t* tenants = nullptr;     // [rows]
  const float* x = nullptr;             // [rows, n]
  float* y = nullptr;
  int64_t rows = 0, n = 0;
};
void TenantNorm(const TenantNormArgs& args);

}  // namespace signum::ops
