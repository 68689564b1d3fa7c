#include "gpu/cuda/device.cuh"
#include "gpu/cuda/serve_ops.cuh"

// A block a row.

namespace signum::cuda {
namespace {

__global__ void __launch_bounds__(kThreads) ScatterRow(ops::ScatterRowsArgs args) {
  const float* from = args.from + blockIdx.x * args.n;
  float* to = args.to + args.slots[blockIdx.x] * args.n;
  for (int64_t i = threadIdx.x; i < args.n; i += kThreads) to[i] = from[i];
}

// A row's columns are distinct, so no two threads write one place.
__global__ void __launch_bounds__(kThreads) ScatterRowsColumns(ops::ScatterColumnsArgs args) {
  const float* from = args.from + blockIdx.x * args.count;
  float* to = args.to + blockIdx.x * args.to_columns;
  for (int64_t i = threadIdx.x; i < args.count; i += kThreads) {
    float& at = to[args.columns[i]];
    at = args.accumulate ? at + from[i] : from[i];
  }
}

}  // namespace

void ScatterRows(Context& context, const ops::ScatterRowsArgs& args) {
  context.Launch("ScatterRows", args.rows, kThreads, ScatterRow, args);
}

void ScatterColumns(Context& context, const ops::ScatterColumnsArgs& args) {
  context.Launch("ScatterColumns", args.rows, kThreads, ScatterRowsColumns, args);
}

}  // namespace signum::cuda
