#pragma once

#include <cstdint>
#include <vector>

namespace signum {

// Signs of some rows of Δ [rows, columns] chosen for the outputs they give, not weight by weight:
// column by column, each column's error is made up for by those after it, under the second moment
// H = XᵀX of the layer's inputs (GPTQ, arXiv 2210.17323, algorithm 1, with {-s, +s} as the grid).
struct FeedbackSigns {
  const float* delta = nullptr;      // [rows, columns]
  const float* factor = nullptr;     // [columns, columns]: InverseFactor of H
  const float* moment = nullptr;     // H, without damping
  const float* row_scale = nullptr;  // [rows]: where signs are chosen
  const float* col_scale = nullptr;  // [columns], or null
  const uint8_t* mask = nullptr;     // weights that have a sign, or null: all
  uint8_t* sign = nullptr;           // receives [rows, ceil(columns / 8)]
  // For b = S ⊙ col_scale: Δ H bᵀ and b H bᵀ, whose quotient is the best scale of the row.
  double* with_delta = nullptr;  // [rows]
  double* with_self = nullptr;   // [rows]
  int64_t rows = 0, columns = 0;
};
void ChooseSigns(const FeedbackSigns& args);

}  // namespace signum
