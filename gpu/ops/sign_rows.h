#pragma once

#include "gpu/ops/sign_matrix.h"

namespace signum::ops {

// y[b, j] += row_j · Σ_k S_jk x[b, k] for b < m, j < n: a plane of signs in a linear layer for
// serving. Its column scales are in x already. As RowProduct's, y[b, j] is a
// function of row b of x and row j of the plane alone, bit for bit.
//
// Computed as 2 P - T with P the sum of x over the ones of S and T that over all weights (those of
// the mask): one addition a sign.
struct SignRowsArgs {
  SignPlane plane;
  const float* x = nullptr;
  float* y = nullptr;
  int64_t m = 0, n = 0, k = 0;
  int64_t ldx = 0, ldy = 0;
};
void SignRows(const SignRowsArgs& args);

}  // namespace signum::ops
