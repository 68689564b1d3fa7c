#include "gpu/ops/sign_rows.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include "gpu/kernels/scalar.h"
#include "gpu/kernels/simd.h"

#if SIGNUM_HAVE_HIGHWAY
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpu/ops/sign_rows.cc"
#include <hwy/foreach_target.h>

#include "gpu/kernels/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace signum::kernels::HWY_NAMESPACE {

// One group of kLanes columns: sums[r][c] takes, in ascending order, the values of x that have a
// one in words[r].
template <int kRows, int kBatch>
HWY_INLINE void AddOnes(const float* const* x, const uint64_t* words, VF (*sums)[kBatch]) {
  const F32 d;
#pragma GCC unroll 16
  for (size_t v = 0; v < kVectors; ++v) {
    VF xs[kBatch];
#pragma GCC unroll 8
    for (int c = 0; c < kBatch; ++c) xs[c] = hn::LoadU(d, x[c] + v * kWidth);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const auto ones = MaskOf(words[r] >> (v * kWidth));
#pragma GCC unroll 8
      for (int c = 0; c < kBatch; ++c) {
        sums[r][c] = hn::IfThenElse(ones, hn::Add(sums[r][c], xs[c]), sums[r][c]);
      }
    }
  }
}

// Σ of x over the ones of both `sign` and `mask` (null: of sign alone; sign null: of mask; both:
// of all) for rows [0, kRows) of bits, `stride` bytes apart, and rows [0, kBatch) of x.
template <int kRows, int kBatch>
HWY_INLINE void SumOnes(const uint8_t* sign, const uint8_t* mask, size_t stride, const float* x,
                        size_t ldx, size_t k, float (*out)[kBatch]) {
  const F32 d;
  VF sums[kRows][kBatch];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < kBatch; ++c) sums[r][c] = hn::Zero(d);
  }
  const float* at[kBatch];
  uint64_t words[kRows];
  const auto read = [&](size_t i, size_t bytes) HWY_ATTR {
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const size_t byte = static_cast<size_t>(r) * stride + i / 8;
      words[r] = sign == nullptr ? ~uint64_t{0} : BitWord(sign + byte, bytes);
      if (mask != nullptr) words[r] &= BitWord(mask + byte, bytes);
    }
  };
  size_t i = 0;
  for (; i + kLanes <= k; i += kLanes) {
    read(i, kLanes / 8);
#pragma GCC unroll 8
    for (int c = 0; c < kBatch; ++c) at[c] = x + static_cast<size_t>(c) * ldx + i;
    AddOnes<kRows, kBatch>(at, words, sums);
  }
  if (i < k) {
    float last[kBatch][kLanes] = {};
    for (int c = 0; c < kBatch; ++c) {
      std::memcpy(last[c], x + static_cast<size_t>(c) * ldx + i, (k - i) * sizeof(float));
      at[c] = last[c];
    }
    read(i, BitBytes(k - i));
    AddOnes<kRows, kBatch>(at, words, sums);
  }
  for (int r = 0; r < kRows; ++r) {
    for (int c = 0; c < kBatch; ++c) out[r][c] = hn::GetLane(hn::SumOfLanes(d, sums[r][c]));
  }
}

template <int kRows, int kBatch>
HWY_INLINE void SignTile(const ops::SignRowsArgs& args, const float* totals, int64_t b, int64_t j) {
  const auto k = static_cast<size_t>(args.k);
  const auto ldx = static_cast<size_t>(args.ldx);
  const size_t stride = BitBytes(k);
  const size_t byte = static_cast<size_t>(j) * stride;
  const ops::SignPlane& plane = args.plane;
  const float* x = args.x + b * args.ldx;
  const uint8_t* mask = plane.mask == nullptr ? nullptr : plane.mask + byte;
  float ones[kRows][kBatch];
  float all[kRows][kBatch] = {};
  SumOnes<kRows, kBatch>(plane.sign + byte, mask, stride, x, ldx, k, ones);
  if (mask != nullptr) SumOnes<kRows, kBatch>(nullptr, mask, stride, x, ldx, k, all);
  for (int r = 0; r < kRows; ++r) {
    const float scale = plane.row[plane.one_row_scale ? 0 : j + r];
    for (int c = 0; c < kBatch; ++c) {
      const float total = mask == nullptr ? totals[b + c] : all[r][c];
      args.y[(b + c) * args.ldy + j + r] += scale * (2 * ones[r][c] - total);
    }
  }
}

template <int kRows, int kBatch>
HWY_INLINE void SignTiles(const ops::SignRowsArgs& args, const float* totals, int64_t b) {
  int64_t j = 0;
  for (; j + kRows <= args.n; j += kRows) SignTile<kRows, kBatch>(args, totals, b, j);
  for (; j < args.n; ++j) SignTile<1, kBatch>(args, totals, b, j);
}

void SignAll(const ops::SignRowsArgs& args) {
  std::vector<float> totals(static_cast<size_t>(args.m));
  for (int64_t b = 0; b < args.m; ++b) {
    SumOnes<1, 1>(nullptr, nullptr, 0, args.x + b * args.ldx, 0, static_cast<size_t>(args.k),
                  reinterpret_cast<float(*)[1]>(&totals[static_cast<size_t>(b)]));
  }
  int64_t b = 0;
  for (; b + 4 <= args.m; b += 4) SignTiles<kWidth == 16 ? 4 : 2, 4>(args, totals.data(), b);
  for (; b < args.m; ++b) SignTiles<8, 1>(args, totals.data(), b);
}

}  // namespace signum::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // SIGNUM_HAVE_HIGHWAY

#if !SIGNUM_HAVE_HIGHWAY || HWY_ONCE
namespace signum::kernels {
namespace {

double PlainSum(const uint8_t* sign, const uint8_t* mask, const float* x, size_t k) {
  double ones = 0;
  double all = 0;
  for (size_t i = 0; i < k; ++i) {
    if (mask != nullptr && !TestBit(mask, i)) continue;
    all += x[i];
    if (TestBit(sign, i)) ones += x[i];
  }
  return 2 * ones - all;
}

[[maybe_unused]] void PlainSignRows(const ops::SignRowsArgs& args) {
  const auto k = static_cast<size_t>(args.k);
  const ops::SignPlane& plane = args.plane;
  for (int64_t j = 0; j < args.n; ++j) {
    const size_t byte = static_cast<size_t>(j) * BitBytes(k);
    const uint8_t* mask = plane.mask == nullptr ? nullptr : plane.mask + byte;
    const float scale = plane.row[plane.one_row_scale ? 0 : j];
    for (int64_t b = 0; b < args.m; ++b) {
      args.y[b * args.ldy + j] +=
          scale * static_cast<float>(PlainSum(plane.sign + byte, mask, args.x + b * args.ldx, k));
    }
  }
}

}  // namespace

#if SIGNUM_HAVE_HIGHWAY
HWY_EXPORT(SignAll);
#endif

void DispatchSignRows(const ops::SignRowsArgs& args) {
#if SIGNUM_HAVE_HIGHWAY
  if (!UseReference()) return HWY_DYNAMIC_DISPATCH(SignAll)(args);
#endif
  PlainSignRows(args);
}

}  // namespace signum::kernels

namespace signum::ops {

void SignRows(const SignRowsArgs& args) { kernels::DispatchSignRows(args); }

}  // namespace signum::ops
#endif
