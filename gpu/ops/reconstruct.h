#pragma once

#include "gpu/ops/sign_matrix.h"

namespace signum::ops {

// The weight that Materialize would give, rounded to `out_type` (nearest, ties to even) into `out`
// [rows, columns]; weight.out is not used. The same bits on every backend, and for one plane those
// of kernels::ReconstructRow.
struct ReconstructArgs {
  MaterializeArgs weight;
  kernels::Element out_type = kernels::Element::kF32;
  void* out = nullptr;
};
void Reconstruct(const ReconstructArgs& args);

}  // namespace signum::ops
