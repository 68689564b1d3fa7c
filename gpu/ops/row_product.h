#pragma once

#include <cstdint>

#include "gpu/kernels/element.h"

namespace signum::ops {

// y[b, j] (+)= Σ_k x[b, k] w[j, k] for b < m, j < n: a linear layer for serving, where rows of x
// belong to requests of different people. y[b, j] is a function of row b of x and row j of w alone:
// neither m, n nor a row's place changes a bit of it, so that a request's answer does not depend on
// who is in the batch with it. (oneDNN chooses kernels, and so the order of sums, by m.)
// w is of w_type: F32, BF16 or F16, whose values take part as float32. ldx, ldw and ldy are the
// elements from one row to the next.
struct RowProductArgs {
  const float* x = nullptr;
  const void* w = nullptr;
  float* y = nullptr;
  int64_t m = 0, n = 0, k = 0;
  int64_t ldx = 0, ldw = 0, ldy = 0;
  bool accumulate = false;
  kernels::Element w_type = kernels::Element::kF32;
};
void RowProduct(const RowProductArgs& args);

}  // namespace signum::ops
