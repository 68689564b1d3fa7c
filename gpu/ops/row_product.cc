#include "gpu/ops/row_product.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <vector>

#include "gpu/kernels/convert.h"
#include "gpu/kernels/simd.h"

#if SIGNUM_HAVE_HIGHWAY
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpu/ops/row_product.cc"
#include <hwy/foreach_target.h>

#include "gpu/kernels/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace signum::kernels::HWY_NAMESPACE {

constexpr size_t kBlockVectors = 1024 / kWidth;  // of columns: a tile's rows of x stay in L1
constexpr int64_t kBlockRows = 24;               // of w: as many as any tile's divide
// Bytes of a weight's row that are asked for ahead: see FetchAhead.
constexpr size_t kAhead = 1024;

// The first `count` < kWidth elements, zeros behind them.
template <class As>
HWY_INLINE VF LoadSome(const typename As::Raw* from, size_t count) {
  typename As::Raw lanes[kWidth] = {};
  std::memcpy(lanes, from, count * sizeof(lanes[0]));
  return As::Load(lanes);
}

HWY_INLINE size_t VectorsOf(int64_t k) { return (static_cast<size_t>(k) + kWidth - 1) / kWidth; }

// kBatch rows of x as a tile reads them: vector after vector of columns, the rows' in turn, zeros
// behind the last column.
template <int kBatch>
HWY_INLINE void PackRows(const ops::RowProductArgs& args, int64_t b, float* to) {
  const auto k = static_cast<size_t>(args.k);
  for (int c = 0; c < kBatch; ++c) {
    const float* x = args.x + (b + c) * args.ldx;
    float* out = to + static_cast<size_t>(c) * kWidth;
    for (size_t i = 0; i < k; i += kWidth, out += kBatch * kWidth) {
      const VF v = i + kWidth <= k ? hn::LoadU(F32(), x + i) : LoadSome<AsF32>(x + i, k - i);
      hn::StoreU(v, F32(), out);
    }
  }
}

// What a tile computes: rows of w against packed rows of x, over vectors [first, last) of columns.
template <class Raw>
struct Tile {
  const Raw* w;
  size_t ldw;
  const float* x;  // packed
  size_t first, last;
  size_t k;
  float* sums;  // a vector a pair; read where first > 0, written
};

// Each pair of rows has one vector of sums, taken over columns in ascending order whatever the
// tile: that is what makes a result independent of it.
template <class As, int kRows, int kBatch>
HWY_INLINE void ProductTile(const Tile<typename As::Raw>& tile) {
  const F32 d;
  VF sums[kRows][kBatch];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kBatch; ++c) {
      sums[r][c] =
          tile.first == 0 ? hn::Zero(d) : hn::LoadU(d, tile.sums + (r * kBatch + c) * int{kWidth});
    }
  }
  const float* x = tile.x + tile.first * kBatch * kWidth;
  const auto step = [&](const typename As::Raw* w, auto load) HWY_ATTR {
    VF xs[kBatch];
#pragma GCC unroll 8
    for (int c = 0; c < kBatch; ++c) xs[c] = hn::LoadU(d, x + c * int{kWidth});
    x += kBatch * kWidth;
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const auto* row = w + static_cast<size_t>(r) * tile.ldw;
      hwy::Prefetch(reinterpret_cast<const uint8_t*>(row) + kAhead);
      const VF weights = load(row);
#pragma GCC unroll 8
      for (int c = 0; c < kBatch; ++c) sums[r][c] = hn::MulAdd(weights, xs[c], sums[r][c]);
    }
  };
  const size_t whole = std::min(tile.last, tile.k / kWidth);
  size_t v = tile.first;
  for (; v < whole; ++v) step(tile.w + v * kWidth, As::Load);
  if (v < tile.last) {
    const size_t rest = tile.k - v * kWidth;
    step(tile.w + v * kWidth,
         [&](const typename As::Raw* from) HWY_ATTR { return LoadSome<As>(from, rest); });
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kBatch; ++c) {
      hn::StoreU(sums[r][c], d, tile.sums + (r * kBatch + c) * int{kWidth});
    }
  }
}

// `count` <= kBlockRows rows of w, from row `first` on, against rows [b, b + kBatch) of x.
template <class As, int kRows, int kBatch>
void ProductBlock(const ops::RowProductArgs& args, Tile<typename As::Raw> tile, int64_t b,
                  int64_t first, int64_t count) {
  HWY_ALIGN float sums[kBlockRows * kBatch * kWidth];
  const auto* w = tile.w;
  const size_t vectors = VectorsOf(args.k);
  for (tile.first = 0; tile.first < vectors; tile.first = tile.last) {
    tile.last = std::min(vectors, tile.first + kBlockVectors);
    int64_t j = 0;
    const auto place = [&] {
      tile.w = w + static_cast<size_t>(j) * tile.ldw;
      tile.sums = sums + j * kBatch * int64_t{kWidth};
    };
    for (; j + kRows <= count; j += kRows) {
      place();
      ProductTile<As, kRows, kBatch>(tile);
    }
    for (; j < count; ++j) {
      place();
      ProductTile<As, 1, kBatch>(tile);
    }
  }
  for (int64_t j = 0; j < count; ++j) {
    for (int c = 0; c < kBatch; ++c) {
      const float sum =
          vectors == 0 ? 0.0F
                       : hn::GetLane(hn::SumOfLanes(
                             F32(), hn::LoadU(F32(), sums + (j * kBatch + c) * int64_t{kWidth})));
      float& y = args.y[(b + c) * args.ldy + first + j];
      y = args.accumulate ? y + sum : sum;
    }
  }
}

// Calls use(kBatch, b) for tiles of rows of x, in order.
template <class Use>
HWY_INLINE void ForTiles(int64_t m, Use use) {
  int64_t b = 0;
  for (; b + 4 <= m; b += 4) use(std::integral_constant<int, 4>(), b);
  for (; b + 2 <= m; b += 2) use(std::integral_constant<int, 2>(), b);
  for (; b < m; ++b) use(std::integral_constant<int, 1>(), b);
}

// Rows of w in a tile: sums enough to hide the latency of an addition and to read an operand
// seldom, few enough for the registers, 32 where vectors have 16 lanes, else 16.
constexpr int RowsOf(int batch) {
  if (batch == 1) return 8;
  if (batch == 2) return kWidth == 16 ? 8 : 4;
  return kWidth == 16 ? 6 : 2;
}

// Rows [first, first + count) of the weights, which lie at `w`, against all of x.
template <class As>
void ProductRows(const ops::RowProductArgs& args, const typename As::Raw* w, size_t ldw,
                 const float* packed, int64_t first, int64_t count) {
  const Tile<typename As::Raw> tile{w, ldw, nullptr, 0, 0, static_cast<size_t>(args.k), nullptr};
  const size_t row = VectorsOf(args.k) * kWidth;
  ForTiles(args.m, [&](auto batch, int64_t b) HWY_ATTR {
    auto at = tile;
    at.x = packed + static_cast<size_t>(b) * row;
    ProductBlock<As, RowsOf(batch), batch>(args, at, b, first, count);
  });
}

// Weights that few rows of x read are converted as they are read, for many once.
template <class As>
void ProductAs(const ops::RowProductArgs& args) {
  constexpr int64_t kReadOften = 24;
  thread_local std::vector<float> packed, converted;
  const size_t row = VectorsOf(args.k) * kWidth;
  packed.resize(static_cast<size_t>(args.m) * row);
  ForTiles(args.m, [&](auto batch, int64_t b) HWY_ATTR {
    PackRows<batch>(args, b, packed.data() + static_cast<size_t>(b) * row);
  });
  const bool converts = !std::is_same_v<As, AsF32> && args.m > kReadOften;
  const size_t ld = row + kWidth;  // not a power of two: rows of it lie in different cache sets
  if (converts) converted.resize(kBlockRows * ld);
  for (int64_t first = 0; first < args.n; first += kBlockRows) {
    const int64_t count = std::min(kBlockRows, args.n - first);
    const auto* w = static_cast<const typename As::Raw*>(args.w) + first * args.ldw;
    if (!converts) {
      ProductRows<As>(args, w, static_cast<size_t>(args.ldw), packed.data(), first, count);
      continue;
    }
    for (int64_t j = 0; j < count; ++j) {
      ToFloat({args.w_type, w + j * args.ldw}, static_cast<size_t>(args.k),
              converted.data() + static_cast<size_t>(j) * ld);
    }
    ProductRows<AsF32>(args, converted.data(), ld, packed.data(), first, count);
  }
}

void ProductAll(const ops::RowProductArgs& args) {
  WithType(args.w_type, [&](auto as) HWY_ATTR { ProductAs<decltype(as)>(args); });
}

}  // namespace signum::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // SIGNUM_HAVE_HIGHWAY

#if !SIGNUM_HAVE_HIGHWAY || HWY_ONCE
namespace signum::kernels {
namespace {

void PlainProduct(const ops::RowProductArgs& args) {
  std::vector<float> w(static_cast<size_t>(args.k));
  for (int64_t j = 0; j < args.n; ++j) {
    const ConstRow all{args.w_type, args.w};
    ToFloat(all.From(static_cast<size_t>(j * args.ldw)), w.size(), w.data());
    for (int64_t b = 0; b < args.m; ++b) {
      float sum = 0;
      for (size_t i = 0; i < w.size(); ++i)
        sum += args.x[b * args.ldx + static_cast<int64_t>(i)] * w[i];
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
