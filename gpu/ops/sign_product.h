#pragma once

#include "gpu/ops/sign_matrix.h"

namespace signum::ops {

// Products with a plane alone, D_ij = row_i S_ij col_j of [rows, columns], for many rows of x:
//   y[m, rows] (+)= x[m, columns] · Dᵀ       its part of a linear layer
//   y[m, columns] (+)= x[m, rows] · D        and of that layer's gradient (`input_grad`)
struct SignProductArgs {
  SignPlane plane;
  const float* x = nullptr;
  float* y = nullptr;
  int64_t m = 0, rows = 0, columns = 0;
  bool input_grad = false;
  bool accumulate = false;
};
void SignProduct(const SignProductArgs& args);

}  // namespace signum::ops
