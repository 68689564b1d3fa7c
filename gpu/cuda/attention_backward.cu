#include "gpu/cuda/attention.cuh"
#include "gpu/cuda/ops.cuh"

// Two kernels, neither of which adds to what another block writes:
//   a warp a query: one pass over its keys for the softmax's log-sum and D = Σ_j P_j dP_j, which it
//     leaves for the second kernel, and one for dq = Σ_j dS_j k_j, dS_j = P_j (dP_j - D) / √d;
//   a warp a key: over the queries of all heads that read it, dv = Σ P dout and dk = Σ dS q.

namespace signum::cuda {
namespace {

struct Stats {
  float* log_sum;  // [batch, heads, tokens]
  float* d;
};

template <int kDim>
__global__ void __launch_bounds__(Tiles<kDim>::kBlock)
    QueryGrad(ops::AttentionBackwardArgs args, Stats stats) {
  using T = Tiles<kDim>;
  __shared__ typename T::Tile tile;
  __shared__ typename T::Own own_q;
  __shared__ typename T::Own own_dout;
  const ops::AttentionShape& s = args.shape;
  const int64_t blocks = (s.tokens + T::kOwners - 1) / T::kOwners;
  const int64_t first = blockIdx.x % blocks * T::kOwners;
  const int64_t row = blockIdx.x / blocks;  // sequence and head
  const HeadAt at = MakeHeadAt(s, row / s.heads, row % s.heads);
  const int64_t query = first + WarpOf();
  const bool there = query < s.tokens;
  const int64_t end = min(s.tokens, first + T::kOwners);
  const float scale = ScoreScale(s);
  const int64_t place = at.q + query * at.q_stride;
  float* q = own_q[WarpOf()];
  float* dout = own_dout[WarpOf()];
  LoadOwn<kDim>(q, args.q + place, there, s.head_dim);
  LoadOwn<kDim>(dout, args.dout + place, there, s.head_dim);
  Running softmax;
  float d = 0;
  for (int64_t key = FirstKey(s, first); key < end; key += kTile) {
    LoadTile<kDim>(tile, args.k + at.kv, at.kv_stride, key, end, s.head_dim);
    const float score = RowDot<kDim>(q, tile) * scale;
    float factor;
    const bool seen = there && Sees(s, query, key + LaneOf());
    const float weight = softmax.Weigh(score, seen, &factor);
    LoadTile<kDim>(tile, args.v + at.kv, at.kv_stride, key, end, s.head_dim);
    d = d * factor + WarpSum(weight * RowDot<kDim>(dout, tile));
  }
  d /= softmax.sum;
  const float log_sum = softmax.most + logf(softmax.sum);
  if (there && LaneOf() == 0) {
    stats.log_sum[row * s.tokens + query] = log_sum;
    stats.d[row * s.tokens + query] = d;
  }
  float sums[T::kEach] = {};
  for (int64_t key = FirstKey(s, first); key < end; key += kTile) {
    LoadTile<kDim>(tile, args.v + at.kv, at.kv_stride, key, end, s.head_dim);
    const float dp = RowDot<kDim>(dout, tile);
    LoadTile<kDim>(tile, args.k + at.kv, at.kv_stride, key, end, s.head_dim);
    const float score = RowDot<kDim>(q, tile) * scale;
    const bool seen = there && Sees(s, query, key + LaneOf());
    const float ds = seen ? expf(score - log_sum) * (dp - d) * scale : 0.0F;
    AddRows<kDim>(ds, tile, sums);
  }
  StoreSums<kDim>(sums, 1.0F, args.dq + place, there, s.head_dim);
}

template <int kDim>
__global__ void __launch_bounds__(Tiles<kDim>::kBlock)
    KeyGrad(ops::AttentionBackwardArgs args, Stats stats) {
  using T = Tiles<kDim>;
  __shared__ typename T::Tile tile;
  __shared__ typename T::Own own_k;
  __shared__ typename T::Own own_v;
  const ops::AttentionShape& s = args.shape;
  const int64_t blocks = (s.tokens + T::kOwners - 1) / T::kOwners;
  const int64_t first = blockIdx.x % blocks * T::kOwners;
  const int64_t kv_head = blockIdx.x / blocks % s.kv_heads;
  const int64_t batch = blockIdx.x / blocks / s.kv_heads;
  const int64_t group = s.heads / s.kv_heads;
  const int64_t key = first + WarpOf();
  const bool there = key < s.tokens;
  const int64_t last = first + T::kOwners - 1;
  const int64_t end = s.window > 0 ? min(s.tokens, last + s.window) : s.tokens;
  const float scale = ScoreScale(s);
  const HeadAt at = MakeHeadAt(s, batch, kv_head * group);
  const int64_t place = at.kv + key * at.kv_stride;
  float* k = own_k[WarpOf()];
  float* v = own_v[WarpOf()];
  LoadOwn<kDim>(k, args.k + place, there, s.head_dim);
  LoadOwn<kDim>(v, args.v + place, there, s.head_dim);
  float dk[T::kEach] = {};
  float dv[T::kEach] = {};
  for (int64_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
    const int64_t q_at = MakeHeadAt(s, batch, head).q;
    const int64_t row = (batch * s.heads + head) * s.tokens;
    for (int64_t query = first; query < end; query += kTile) {
      const int64_t mine = query + LaneOf();
      const bool seen = there && mine < s.tokens && Sees(s, mine, key);
      LoadTile<kDim>(tile, args.q + q_at, at.q_stride, query, end, s.head_dim);
      const float score = RowDot<kDim>(k, tile) * scale;
      const float p = seen ? expf(score - stats.log_sum[row + mine]) : 0.0F;
      LoadTile<kDim>(tile, args.dout + q_at, at.q_stride, query, end, s.head_dim);
      const float dp = RowDot<kDim>(v, tile);
      const float ds = seen ? p * (dp - stats.d[row + mine]) * scale : 0.0F;
      AddRows<kDim>(p, tile, dv);
      LoadTile<kDim>(tile, args.q + q_at, at.q_stride, query, end, s.head_dim);
      AddRows<kDim>(ds, tile, dk);
    }
  }
  StoreSums<kDim>(dk, 1.0F, args.dk + place, there, s.head_dim);
  StoreSums<kDim>(dv, 1.0F, args.dv + place, there, s.head_dim);
}

}  // namespace

void AttentionBackward(Context& context, const ops::AttentionBackwardArgs& args) {
  const ops::AttentionShape& s = args.shape;
  const int64_t rows = s.batch * s.heads * s.tokens;
  if (rows == 0) return;
  Stats stats{};
  stats.log_sum =
      static_cast<float*>(context.Scratch(static_cast<size_t>(rows) * 2 * sizeof(float)));
  if (stats.log_sum == nullptr) return;
  stats.d = stats.log_sum + rows;
  WithDim(context, "AttentionBackward", s.head_dim, [&](auto dim) {
    constexpr int kDim = decltype(dim)::value;
    const int64_t blocks = (s.tokens + Tiles<kDim>::kOwners - 1) / Tiles<kDim>::kOwners;
    context.Launch("AttentionBackward", blocks * s.heads * s.batch, Tiles<kDim>::kBlock,
                   QueryGrad<kDim>, args, stats);
    context.Launch("AttentionBackward", blocks * s.kv_heads * s.batch, Tiles<kDim>::kBlock,
                   KeyGrad<kDim>, args, stats);
  });
}

}  // namespace signum::cuda
