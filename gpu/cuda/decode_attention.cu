#include "gpu/cuda/attend_one.cuh"
#include "gpu/cuda/ops.cuh"

// A block a head of a sequence.

namespace signum::cuda {
namespace {

template <int kDim>
__global__ void __launch_bounds__(kThreads) Decode(ops::DecodeAttentionArgs args) {
  ops::AttentionShape s = args.shape;
  s.tokens = args.capacity;
  const HeadAt at = MakeHeadAt(s, blockIdx.x / s.heads, blockIdx.x % s.heads);
  const int64_t place = static_cast<int64_t>(blockIdx.x) * s.head_dim;
  AttendOne<kDim>(args.q + place, args.k_cache, args.v_cache, args.out + place,
                  FirstKey(s, args.length - 1), args.length, s.head_dim,
                  Contiguous{at.kv, at.kv_stride});
}

}  // namespace

void DecodeAttention(Context& context, const ops::DecodeAttentionArgs& args) {
  if (args.length <= 0) return;
  WithDim(context, "DecodeAttention", args.shape.head_dim, [&](auto dim) {
    constexpr int kDim = decltype(dim)::value;
    context.Launch("DecodeAttention", args.shape.batch * args.shape.heads, kThreads, Decode<kDim>,
                   args);
  });
}

}  // namespace signum::cuda
