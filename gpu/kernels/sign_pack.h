#pragma once

#include <cstddef>
#include <cstdint>

#include "gpu/kernels/element.h"

namespace signum::kernels {

// What one pass over a row of differences finds out.
struct RowStats {
  double sum_abs = 0;  // sum of |Δ|; NaN or infinite where a difference is (or the sum overflows)
  uint64_t zeros = 0;  // differences that are exactly 0
};

// Δ_j = float32(fine_j) - float32(base_j), j < k. Writes ceil(k / 8) bytes each, bit j % 8 of byte
// j / 8, padding bits 0:
//   sign: Δ_j > 0 (BitDelta, arXiv 2402.10193, eq. 1, but a zero counts as a minus)
//   mask: Δ_j != 0 (where mask is not null)
RowStats SignPackRow(ConstRow base, ConstRow fine, size_t k, uint8_t* sign, uint8_t* mask);

namespace reference {
RowStats SignPackRow(ConstRow base, ConstRow fine, size_t k, uint8_t* sign, uint8_t* mask);
}  // namespace reference

}  // namespace signum::kernels
