#pragma once

#include <vector>

#include "gpu/row_pairs.h"

namespace signum {

// Scales of one plane: one, or one a row, and none or one a column.
struct PlaneScales {
  std::vector<float> row, col;

  float Row(uint64_t r) const { return row.size() == 1 ? row[0] : row[r]; }
  float At(uint64_t r, size_t j) const { return col.empty() ? Row(r) : Row(r) * col[j]; }
  // Every weight's scale times this.
  PlaneScales Times(float factor) const;
};

// How several planes share the range of a difference. Planes whose scales halve from one to the
// next, with signs of what is left, are a uniform quantizer of 2^planes levels: for given planes,
// one number, the first scale beside the mean |Δ|, decides between coarse steps and a short range
// (KERNELS.md, "Planes"). It is chosen on a sample.
class PlaneSample {
 public:
  // Of some rows, evenly spread, with their least-squares scales of one plane; `changed_only`: of
  // the weights that have changed.
  static Result<PlaneSample> Take(const RowPairs& pairs, const PlaneScales& scales,
                                  bool changed_only);
  // Adds a row of differences, each with its scale.
  void AddRow(const std::vector<float>& delta, const std::vector<float>& scale, bool changed_only);

  // What the scales of one plane are multiplied by for plane 0 of so many; plane p gets 2^-p of
  // that.
  float FirstScale(int planes) const;

 private:
  std::vector<float> ratio_;   // |Δ| / scale
  std::vector<float> weight_;  // scale², relative
};

}  // namespace signum
