#include "gpu/kernels/row_col_fit.h"

#include <algorithm>
#include <cmath>

#include "gpu/kernels/abs_dot.h"
#include "gpu/kernels/col_accumulate.h"

namespace signum::kernels {
namespace {

double SumOfSquares(const std::vector<float>& values, float factor) {
  double sum = 0;
  for (float value : values) {
    const double v = static_cast<double>(value * factor);
    sum += v * v;
  }
  return sum;
}

float PowerFor(double mean_abs) {
  if (!(mean_abs > 0)) return 1;
  return static_cast<float>(std::ldexp(1.0, std::clamp(-std::ilogb(mean_abs), -120, 120)));
}

}  // namespace

RowColFit::RowColFit(uint64_t rows, size_t columns, bool changed_only, double mean_abs)
    : changed_only_(changed_only),
      power_(PowerFor(mean_abs)),
      row_(rows),
      col_(columns, 1.0F),
      dot_(columns),
      norm_(changed_only ? columns : 0) {}

void RowColFit::BeginPass() {
  std::fill(dot_.begin(), dot_.end(), 0.0);
  std::fill(norm_.begin(), norm_.end(), 0.0);
  col_norm_ = SumOfSquares(col_, 1);
}

void RowColFit::FitRows(ConstRow base, ConstRow fine, uint64_t first, uint64_t rows, float* dot,
                        float* norm) {
  const size_t k = col_.size();
  std::fill_n(dot, k, 0.0F);
  if (changed_only_) std::fill_n(norm, k, 0.0F);
  for (uint64_t i = 0; i < rows; ++i) {
    const ConstRow b = base.From(i * k);
    const ConstRow f = fine.From(i * k);
    const AbsDot sums = AbsDotRow(b, f, col_.data(), k, changed_only_);
    const double divisor = changed_only_ ? sums.norm : col_norm_;
    const float r = divisor > 0 ? static_cast<float>(sums.dot / divisor) : 0.0F;
    row_[first + i] = r;
    if (r > 0) AccumulateColumns(b, f, r * power_, k, dot, changed_only_ ? norm : nullptr);
  }
}

void RowColFit::Commit(const float* dot, const float* norm) {
  for (size_t j = 0; j < dot_.size(); ++j) dot_[j] += static_cast<double>(dot[j]);
  for (size_t j = 0; j < norm_.size(); ++j) norm_[j] += static_cast<double>(norm[j]);
}

void RowColFit::EndPass() {
  const double row_norm = changed_only_ ? 0 : SumOfSquares(row_, power_);
  for (size_t j = 0; j < col_.size(); ++j) {
    const double norm = changed_only_ ? norm_[j] : row_norm;
    col_[j] = norm > 0 ? static_cast<float>(static_cast<double>(power_) * (dot_[j] / norm)) : 0.0F;
  }
}

void RowColFit::Finish() {
  double sum = 0;
  for (float c : col_) sum += static_cast<double>(c);
  const double mean = col_.empty() ? 0 : sum / static_cast<double>(col_.size());
  if (!(mean > 0)) return;
  for (float& c : col_) c = static_cast<float>(static_cast<double>(c) / mean);
  for (float& r : row_) r = static_cast<float>(static_cast<double>(r) * mean);
}

}  // namespace signum::kernels
