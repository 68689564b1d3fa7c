#pragma once

#include "gpu/cuda/context.cuh"
#include "gpu/ops/serve_ops.h"

// The ops of ServeOps on a device: each puts its work on the context's stream and returns.

namespace signum::cuda {

void PagedAttention(Context& context, const ops::PagedAttentionArgs& args);
void ScatterRows(Context& context, const ops::ScatterRowsArgs& args);
void ScatterColumns(Context& context, const ops::ScatterColumnsArgs& args);
void TenantNorm(Context& context, const ops::TenantNormArgs& args);

}  // namespace signum::cuda
