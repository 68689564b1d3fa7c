#pragma once

#include <cstddef>

#include "gpu/kernels/element.h"

namespace signum::kernels {

// The two sums of a row's least-squares scale r = dot / norm.
struct AbsDot {
  double dot = 0;   // sum of |Δ_j| c_j
  double norm = 0;  // sum of c_j² where Δ_j != 0 (left 0 unless asked for)
};

// Products are rounded to float32, then summed in the reduction order. `changed_norm` asks for
// norm; without it the norm is the same for every row and the caller has it.
AbsDot AbsDotRow(ConstRow base, ConstRow fine, const float* col_scale, size_t k, bool changed_norm);

namespace reference {
AbsDot AbsDotRow(ConstRow base, ConstRow fine, const float* col_scale, size_t k, bool changed_norm);
}  // namespace reference

}  // namespace signum::kernels
