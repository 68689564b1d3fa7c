#include "gpu/cuda/device.cuh"
#include "gpu/cuda/element.cuh"
#include "gpu/cuda/ops.cuh"

// A thread an element in a loop over the grid, or a block a row where a row has data of its own.

namespace signum::cuda {
namespace {

__global__ void __launch_bounds__(kThreads) AddEach(ops::AddArgs args) {
  for (int64_t i = GlobalThread(); i < args.n; i += GridThreads())
    args.y[i] = args.a[i] + args.b[i];
}

__global__ void __launch_bounds__(kThreads) AddBiasRow(ops::AddBiasArgs args) {
  float* y = args.y + blockIdx.x * args.n;
  for (int64_t i = threadIdx.x; i < args.n; i += kThreads) y[i] += args.bias[i];
}

__global__ void __launch_bounds__(kThreads) CopyRow(ops::CopyRowsArgs args) {
  const float* from = args.from + blockIdx.x * args.from_stride;
  float* to = args.to + blockIdx.x * args.to_stride;
  for (int64_t i = threadIdx.x; i < args.n; i += kThreads) to[i] = from[i];
}

__global__ void __launch_bounds__(kThreads) CopyColumnsRow(ops::CopyColumnsArgs args) {
  const float* from = args.from + blockIdx.x * args.from_columns;
  float* out = args.out + blockIdx.x * args.count;
  for (int64_t i = threadIdx.x; i < args.count; i += kThreads) out[i] = from[args.columns[i]];
}

__global__ void __launch_bounds__(kThreads) GatherRow(ops::GatherRowsArgs args) {
  const int64_t from = args.indices[blockIdx.x] * args.n;
  float* out = args.out + blockIdx.x * args.n;
  for (int64_t i = threadIdx.x; i < args.n; i += kThreads) {
    out[i] = LoadOne(args.type, args.table, from + i);
  }
}

}  // namespace

void Add(Context& context, const ops::AddArgs& args) {
  context.Launch("Add", context.BlocksFor(args.n, kThreads), kThreads, AddEach, args);
}

void AddBias(Context& context, const ops::AddBiasArgs& args) {
  context.Launch("AddBias", args.rows, kThreads, AddBiasRow, args);
}

void CopyRows(Context& context, const ops::CopyRowsArgs& args) {
  context.Launch("CopyRows", args.rows, kThreads, CopyRow, args);
}

void CopyColumns(Context& context, const ops::CopyColumnsArgs& args) {
  context.Launch("CopyColumns", args.rows, kThreads, CopyColumnsRow, args);
}

void GatherRows(Context& context, const ops::GatherRowsArgs& args) {
  if (!Aligned(args.table, kernels::ElementBytes(args.type))) {
    return context.Fail("GatherRows: the table is not aligned to its elements");
  }
  context.Launch("GatherRows", args.count, kThreads, GatherRow, args);
}

}  // namespace signum::cuda
