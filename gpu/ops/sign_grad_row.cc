#include "gpu/ops/sign_grad_row.h"

#include <cstring>

#include "gpu/kernels/scalar.h"
#include "gpu/kernels/simd.h"

#if SIGNUM_HAVE_HIGHWAY
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpu/ops/sign_grad_row.cc"
#include <hwy/foreach_target.h>

#include "gpu/kernels/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace signum::kernels::HWY_NAMESPACE {

// What one group of kLanes columns gives; vectors of the sum stay apart until the end.
template <bool kCol, bool kMask, bool kAdd>
HWY_INLINE void GradGroup(const float* g, uint64_t sign, uint64_t mask, VF row, const float* col,
                          float* dcol, VF* sums) {
  const F32 d;
#pragma GCC unroll 16
  for (size_t v = 0; v < kVectors; ++v) {
    const VF value = hn::LoadU(d, g + v * kWidth);
    VF s = hn::IfThenElse(MaskOf(sign >> (v * kWidth)), value, hn::Neg(value));
    if (kMask) s = hn::IfThenElseZero(MaskOf(mask >> (v * kWidth)), s);
    sums[v] = hn::Add(sums[v], kCol ? hn::Mul(s, hn::LoadU(d, col + v * kWidth)) : s);
    if (!kAdd) continue;
    hn::StoreU(hn::Add(hn::LoadU(d, dcol + v * kWidth), hn::Mul(s, row)), d, dcol + v * kWidth);
  }
}

template <bool kCol, bool kMask, bool kAdd>
float GradAs(const float* g, const SignScales& scales, size_t n, float* dcol) {
  const F32 d;
  const VF row = hn::Set(d, scales.row_scale);
  VF sums[kVectors];
  for (size_t v = 0; v < kVectors; ++v) sums[v] = hn::Zero(d);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    GradGroup<kCol, kMask, kAdd>(
        g + i, BitWord(scales.sign + i / 8, 8), kMask ? BitWord(scales.mask + i / 8, 8) : 0, row,
        kCol ? scales.col_scale + i : nullptr, kAdd ? dcol + i : nullptr, sums);
  }
  if (i < n) {
    float last_g[kLanes] = {};
    float last_col[kLanes] = {};
    float last_dcol[kLanes] = {};
    std::memcpy(last_g, g + i, (n - i) * sizeof(float));
    if (kCol) std::memcpy(last_col, scales.col_scale + i, (n - i) * sizeof(float));
    if (kAdd) std::memcpy(last_dcol, dcol + i, (n - i) * sizeof(float));
    const size_t bytes = BitBytes(n - i);
    GradGroup<kCol, kMask, kAdd>(last_g, BitWord(scales.sign + i / 8, bytes),
                                 kMask ? BitWord(scales.mask + i / 8, bytes) : 0, row, last_col,
                                 last_dcol, sums);
    if (kAdd) std::memcpy(dcol + i, last_dcol, (n - i) * sizeof(float));
  }
  VF sum = sums[0];
  for (size_t v = 1; v < kVectors; ++v) sum = hn::Add(sum, sums[v]);
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

float GradRow(const float* g, const SignScales& scales, size_t n, float* dcol) {
  const bool mask = scales.mask != nullptr;
  if (scales.col_scale == nullptr) {
    if (dcol == nullptr)
      return mask ? GradAs<false, true, false>(g, scales, n, dcol)
                  : GradAs<false, false, false>(g, scales, n, dcol);
    return mask ? GradAs<false, true, true>(g, scales, n, dcol)
                : GradAs<false, false, true>(g, scales, n, dcol);
  }
  if (dcol == nullptr)
    return mask ? GradAs<true, true, false>(g, scales, n, dcol)
                : GradAs<true, false, false>(g, scales, n, dcol);
  return mask ? GradAs<true, true, true>(g, scales, n, dcol)
              : GradAs<true, false, true>(g, scales, n, dcol);
}

}  // namespace signum::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // SIGNUM_HAVE_HIGHWAY

#if !SIGNUM_HAVE_HIGHWAY || HWY_ONCE
namespace signum::kernels {
namespace {

[[maybe_unused]] float PlainGradRow(const float* g, const SignScales& scales, size_t n,
                                    float* dcol) {
  float sum = 0;
  for (size_t j = 0; j < n; ++j) {
    if (scales.mask != nullptr && !TestBit(scales.mask, j)) continue;
    const float s = TestBit(scales.sign, j) ? g[j] : -g[j];
    sum += scales.col_scale == nullptr ? s : s * scales.col_scale[j];
    if (dcol != nullptr) dcol[j] += s * scales.row_scale;
  }
  return sum;
}

}  // namespace

#if SIGNUM_HAVE_HIGHWAY
HWY_EXPORT(GradRow);
#endif

float DispatchGradRow(const float* g, const SignScales& scales, size_t n, float* dcol) {
#if SIGNUM_HAVE_HIGHWAY
  if (!UseReference()) return HWY_DYNAMIC_DISPATCH(GradRow)(g, scales, n, dcol);
#endif
  return PlainGradRow(g, scales, n, dcol);
}

}  // namespace signum::kernels

namespace signum::ops {

float SignGradRow(const float* g, const kernels::SignScales& scales, size_t n, float* dcol) {
  return n == 0 ? 0.0F : kernels::DispatchGradRow(g, scales, n, dcol);
}

}  // namespace signum::ops
#endif
