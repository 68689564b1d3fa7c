#pragma once

#include <cstddef>

#include "gpu/kernels/element.h"

namespace signum::kernels {

// Adds a row to the sums of the column scales' update, in float32 (at most kGroupRows rows are
// added to the same sums before they are carried over to double):
//   dot[j]  += |Δ_j| r
//   norm[j] += r² where Δ_j != 0 (unless norm is null)
void AccumulateColumns(ConstRow base, ConstRow fine, float r, size_t k, float* dot, float* norm);

namespace reference {
void AccumulateColumns(ConstRow base, ConstRow fine, float r, size_t k, float* dot, float* norm);
}  // namespace reference

}  // namespace signum::kernels
