#include "gpu/ops/row_product.h"

#include <algorithm>
#include <cstring>

#include "gpu/kernels/simd.h"

#if SIGNUM_HAVE_HIGHWAY
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpu/ops/row_product.cc"
#include <hwy/foreach_target.h>

#include "gpu/kernels/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace signum::kernels::HWY_NAMESPACE {

// The first `count` < kWidth floats, zeros behind them.
HWY_INLINE VF LoadSome(const float* from, size_t count) {
  float lanes[kWidth] = {};
  std::memcpy(lanes, from, count * sizeof(float));
  return hn::LoadU(F32(), lanes);
}

// Rows [j, j + kRows) of w against rows [b, b + kBatch) of x. Each pair has one vector of sums,
// taken over k in ascending order whatever the tile: that is what makes a result independent of it.
template <int kRows, int kBatch>
HWY_INLINE void ProductTile(const ops::RowProductArgs& args, int64_t b, int64_t j) {
  const F32 d;
  const float* x = args.x + b * args.ldx;
  const float* w = args.w + j * args.ldw;
  VF sums[kRows][kBatch];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kBatch; ++c) sums[r][c] = hn::Zero(d);
  }
  const auto k = static_cast<size_t>(args.k);
  size_t i = 0;
  const auto step = [&](auto load) HWY_ATTR {
    VF xs[kBatch];
#pragma GCC unroll 8
    for (int c = 0; c < kBatch; ++c) xs[c] = load(x + c * args.ldx + i);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const VF weights = load(w + r * args.ldw + i);
#pragma GCC unroll 8
      for (int c = 0; c < kBatch; ++c) sums[r][c] = hn::MulAdd(weights, xs[c], sums[r][c]);
    }
  };
  for (; i + kWidth <= k; i += kWidth) {
    step([](const float* from) HWY_ATTR { return hn::LoadU(F32(), from); });
  }
  if (i < k) step([&](const float* from) HWY_ATTR { return LoadSome(from, k - i); });
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kBatch; ++c) {
      float* y = args.y + (b + c) * args.ldy + j + r;
      const float sum = hn::GetLane(hn::SumOfLanes(d, sums[r][c]));
      *y = args.accumulate ? *y + sum : sum;
    }
  }
}

template <int kRows, int kBatch>
HWY_INLINE void ProductRows(const ops::RowProductArgs& args, int64_t b) {
  int64_t j = 0;
  for (; j + kRows <= args.n; j += kRows) ProductTile<kRows, kBatch>(args, b, j);
  for (; j < args.n; ++j) ProductTile<1, kBatch>(args, b, j);
}

// Tiles of eight sums or so: enough to hide the latency of an addition, few enough for 16
// registers.
void ProductAll(const ops::RowProductArgs& args) {
  int64_t b = 0;
  for (; b + 4 <= args.m; b += 4) ProductRows<2, 4>(args, b);
  for (; b + 2 <= args.m; b += 2) ProductRows<4, 2>(args, b);
  for (; b < args.m; ++b) ProductRows<8, 1>(args, b);
}

}  // namespace signum::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // SIGNUM_HAVE_HIGHWAY

#if !SIGNUM_HAVE_HIGHWAY || HWY_ONCE
namespace signum::kernels {
namespace {

void PlainProduct(const ops::RowProductArgs& args) {
  for (int64_t b = 0; b < args.m; ++b) {
    for (int64_t j = 0; j < args.n; ++j) {
      float sum = 0;
      for (int64_t i = 0; i < args.k; ++i) {
        sum += args.x[b * args.ldx + i] * args.w[j * args.ldw + i];
      }
      float& y = args.y[b * args.ldy + j];
      y = args.accumulate ? y + sum : sum;
    }
  }
}

}  // namespace

#if SIGNUM_HAVE_HIGHWAY
HWY_EXPORT(ProductAll);
#endif

void DispatchProduct(const ops::RowProductArgs& args) {
#if SIGNUM_HAVE_HIGHWAY
  if (!UseReference()) return HWY_DYNAMIC_DISPATCH(ProductAll)(args);
#endif
  PlainProduct(args);
}

}  // namespace signum::kernels

namespace signum::ops {

void RowProduct(const RowProductArgs& args) { kernels::DispatchProduct(args); }

}  // namespace signum::ops
#endif
