#pragma once

#include <cstddef>
#include <cstdint>

#include "gpu/kernels/element.h"

namespace signum::kernels {

// What a stretch of a row is rebuilt from. `sign` and `mask` begin with the bit of its first
// column; mask null: every weight has a sign. col_scale null: the scale is row_scale alone.
struct SignScales {
  const uint8_t* sign = nullptr;
  const uint8_t* mask = nullptr;
  float row_scale = 0;
  const float* col_scale = nullptr;
};

// out_j = round(float32(base_j) + s_j (2 sign_j - 1)) to out.type, nearest, ties to even, where s_j
// = row_scale * col_scale_j rounded to float32; where mask_j is 0, round(float32(base_j)). n
// columns.
void ReconstructRow(ConstRow base, const SignScales& scales, size_t n, MutableRow out);

namespace reference {
void ReconstructRow(ConstRow base, const SignScales& scales, size_t n, MutableRow out);
}  // namespace reference

}  // namespace signum::kernels
