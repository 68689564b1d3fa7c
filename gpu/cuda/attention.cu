#include "gpu/cuda/attention.cuh"

#include "gpu/cuda/ops.cuh"

// A warp a query, in one pass over the keys that its block's queries see.

namespace signum::cuda {
namespace {

template <int kDim>
__global__ void __launch_bounds__(Tiles<kDim>::kBlock) Forward(ops::AttentionArgs args) {
  using T = Tiles<kDim>;
  __shared__ typename T::Tile tile;
  __shared__ typename T::Own own;
  const ops::AttentionShape& s = args.shape;
  const int64_t blocks = (s.tokens + T::kOwners - 1) / T::kOwners;
  const int64_t first = blockIdx.x % blocks * T::kOwners;
  const int64_t head = blockIdx.x / blocks % s.heads;
  const HeadAt at = MakeHeadAt(s, blockIdx.x / blocks / s.heads, head);
  const int64_t query = first + WarpOf();
  const bool there = query < s.tokens;
  const int64_t end = min(s.tokens, first + T::kOwners);
  const float scale = ScoreScale(s);
  float* q = own[WarpOf()];
  LoadOwn<kDim>(q, args.q + at.q + query * at.q_stride, there, s.head_dim);
  Running softmax;
  float sums[T::kEach] = {};
  for (int64_t key = FirstKey(s, first); key < end; key += kTile) {
    LoadTile<kDim>(tile, args.k + at.kv, at.kv_stride, key, end, s.head_dim);
    const float score = RowDot<kDim>(q, tile) * scale;
    float factor;
    const bool seen = there && Sees(s, query, key + LaneOf());
    const float weight = softmax.Weigh(score, seen, &factor);
    for (float& sum : sums) sum *= factor;
    LoadTile<kDim>(tile, args.v + at.kv, at.kv_stride, key, end, s.head_dim);
    AddRows<kDim>(weight, tile, sums);
  }
  StoreSums<kDim>(sums, 1.0F / softmax.sum, args.out + at.q + query * at.q_stride, there,
                  s.head_dim);
}

}  // namespace

void Attention(Context& context, const ops::AttentionArgs& args) {
  const ops::AttentionShape& s = args.shape;
  WithDim(context, "Attention", s.head_dim, [&](auto dim) {
    constexpr int kDim = decltype(dim)::value;
    const int64_t blocks = (s.tokens + Tiles<kDim>::kOwners - 1) / Tiles<kDim>::kOwners;
    context.Launch("Attention", blocks * s.heads * s.batch, Tiles<kDim>::kBlock, Forward<kDim>,
                   args);
  });
}

}  // namespace signum::cuda
