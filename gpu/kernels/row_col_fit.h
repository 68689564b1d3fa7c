#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "gpu/kernels/element.h"

namespace signum::kernels {

// The nonnegative rank-1 least-squares fit |Δ_ij| ≈ r_i c_j by alternating updates
//   r_i = Σ_j |Δ_ij| c_j / Σ_j c_j²      c_j = Σ_i |Δ_ij| r_i / Σ_i r_i²
// from c = 1, sums over changed weights only where `changed_only`. One pass over the data updates
// every row, then every column. kFitPasses passes are made (KERNELS.md has the residual against
// more).
inline constexpr int kFitPasses = 2;

class RowColFit {
 public:
  // `mean_abs`: about the mean of |Δ|; a power of two near it keeps float32 products in range.
  RowColFit(uint64_t rows, size_t columns, bool changed_only, double mean_abs);

  void BeginPass();
  // Updates the scales of `rows` <= kGroupRows rows from row `first` (a multiple of kGroupRows) on,
  // and sets dot (and norm, where changed_only) of all columns to their share of the column sums.
  // `base` and `fine` are the first row's elements; rows follow one another. Thread-safe for
  // distinct rows.
  void FitRows(ConstRow base, ConstRow fine, uint64_t first, uint64_t rows, float* dot,
               float* norm);
  // Adds a group's share; in the order of the groups, one at a time.
  void Commit(const float* dot, const float* norm);
  void EndPass();
  // Normalises to mean(c) = 1.
  void Finish();

  bool changed_only() const { return changed_only_; }
  const std::vector<float>& row_scales() const { return row_; }
  const std::vector<float>& col_scales() const { return col_; }

 private:
  bool changed_only_;
  float power_;          // r * power_ is about 1
  double col_norm_ = 0;  // Σ c² of this pass
  std::vector<float> row_, col_;
  std::vector<double> dot_, norm_;
};

}  // namespace signum::kernels
