#pragma once

#include <cstddef>

#include "gpu/kernels/reconstruct.h"

namespace signum::ops {

// One row of SignGrad (sign_matrix.h): returns Σ_j g_j S_j col_j, and adds g_j S_j row_scale to
// dcol [n] where it is not null. Vector code by Highway, chosen at run time.
float SignGradRow(const float* g, const kernels::SignScales& scales, size_t n, float* dcol);

}  // namespace signum::ops
