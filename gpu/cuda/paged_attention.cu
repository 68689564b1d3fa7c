#include "gpu/cuda/attend_one.cuh"
#include "gpu/cuda/serve_ops.cuh"

// A block a head of a row. Each lane finds the place of one of a stretch's keys in the sequence's
// table; the warp then asks the lanes one after another.

namespace signum::cuda {
namespace {

struct Paged {
  const int32_t* table;
  int64_t block_tokens, stride, offset;
  int64_t at = 0;  // of the lane's key

  __device__ void Begin(int64_t key, int64_t end) {
    const int64_t own = key + LaneOf();
    if (own >= end) return;
    const int64_t slot = table[own / block_tokens] * block_tokens + own % block_tokens;
    at = slot * stride + offset;
  }
  __device__ int64_t operator[](int j) const { return __shfl_sync(kWholeWarp, at, j); }
};

template <int kDim>
__global__ void __launch_bounds__(kThreads) Attend(ops::PagedAttentionArgs args) {
  const int64_t row = blockIdx.x / args.heads;
  const int64_t kv_head = blockIdx.x % args.heads / (args.heads / args.kv_heads);
  const int64_t place = static_cast<int64_t>(blockIdx.x) * args.head_dim;
  const int64_t length = args.lengths[row];
  const int64_t begin = args.window > 0 ? max(int64_t{0}, length - args.window) : 0;
  AttendOne<kDim>(args.q + place, args.k, args.v, args.out + place, begin, length, args.head_dim,
                  Paged{args.tables + args.row_tables[row] * args.table_stride, args.block_tokens,
                        args.kv_heads * args.head_dim, kv_head * args.head_dim});
}

}  // namespace

void PagedAttention(Context& context, const ops::PagedAttentionArgs& args) {
  WithDim(context, "PagedAttention", args.head_dim, [&](auto dim) {
    constexpr int kDim = decltype(dim)::value;
    context.Launch("PagedAttention", args.rows * args.heads, kThreads, Attend<kDim>, args);
  });
}

}  // namespace signum::cuda
