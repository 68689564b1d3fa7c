#pragma once

#include "gpu/cuda/context.cuh"
#include "gpu/ops/delta_ops.h"

// The ops of DeltaOps on a device: each puts its work on the context's stream and returns.

namespace signum::cuda {

void SignPack(Context& context, const ops::SignPackArgs& args);
void Reconstruct(Context& context, const ops::ReconstructArgs& args);
void SignProduct(Context& context, const ops::SignProductArgs& args);
void TenantProduct(Context& context, const ops::TenantProductArgs& args);
void ChunkDigests(Context& context, const ops::ChunkDigestArgs& args);

}  // namespace signum::cuda
