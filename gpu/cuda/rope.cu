#include "gpu/cuda/device.cuh"
#include "gpu/cuda/ops.cuh"

// A block a row, a thread a pair of elements that turn together.

namespace signum::cuda {
namespace {

__global__ void __launch_bounds__(kThreads) TurnRow(ops::RopeArgs args) {
  const int64_t r = blockIdx.x;
  const auto half = static_cast<unsigned>(args.head_dim / 2);
  const auto pairs = static_cast<unsigned>(args.heads) * half;
  const int64_t position =
      args.positions != nullptr ? args.positions[r] : args.first_position + r % args.tokens;
  const float* cosines = args.cos + position * half;
  const float* sines = args.sin + position * half;
  for (unsigned p = threadIdx.x; p < pairs; p += kThreads) {
    const unsigned i = p % half;
    float* low = args.x + (r * args.heads + p / half) * args.head_dim + i;
    const float a = low[0];
    const float b = low[half];
    const float c = cosines[i];
    const float s = args.inverse ? -sines[i] : sines[i];
    low[0] = a * c - b * s;
    low[half] = b * c + a * s;
  }
}

}  // namespace

void Rope(Context& context, const ops::RopeArgs& args) {
  if (args.head_dim < 2) return;
  context.Launch("Rope", args.rows, kThreads, TurnRow, args);
}

}  // namespace signum::cuda
