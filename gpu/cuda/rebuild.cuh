#pragma once

#include "gpu/cuda/context.cuh"
#include "gpu/ops/sign_matrix.h"

namespace signum::cuda {

// Materialize with the result in any type: args.out is of `out_type`. The bits are those of
// kernels::ReconstructRow, plane after plane in float32.
void Rebuild(Context& context, const ops::MaterializeArgs& args, kernels::Element out_type,
             void* out);

}  // namespace signum::cuda
