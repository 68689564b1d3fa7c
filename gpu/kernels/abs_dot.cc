#include "gpu/kernels/abs_dot.h"

#include <algorithm>
#include <cmath>

#include "gpu/kernels/pair.h"
#include "gpu/kernels/scalar.h"
#include "gpu/kernels/simd.h"

#if SIGNUM_HAVE_HIGHWAY
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpu/kernels/abs_dot.cc"
#include <hwy/foreach_target.h>

#include "gpu/kernels/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace signum::kernels::HWY_NAMESPACE {

template <class As, bool kNorm>
HWY_INLINE void AbsDotGroup(const typename As::Raw* base, const typename As::Raw* fine,
                            const float* scale, VF* dot, VF* norm) {
  const VF zero = hn::Zero(F32());
#pragma GCC unroll 16
  for (size_t v = 0; v < kVectors; ++v) {
    const VF delta = hn::Sub(As::Load(fine + v * kWidth), As::Load(base + v * kWidth));
    const VF c = hn::LoadU(F32(), scale + v * kWidth);
    dot[v] = hn::Add(dot[v], hn::Mul(hn::Abs(delta), c));
    if (kNorm) norm[v] = hn::Add(norm[v], hn::IfThenElseZero(hn::Ne(delta, zero), hn::Mul(c, c)));
  }
}

template <class As, bool kNorm>
void AbsDotAs(const BlockPair& pair, const float* scale, size_t n, float* dots, float* norms) {
  using Raw = typename As::Raw;
  const auto* base = static_cast<const Raw*>(pair.base);
  const auto* fine = static_cast<const Raw*>(pair.fine);
  VF dot[kVectors];
  VF norm[kVectors];
#pragma GCC unroll 16
  for (size_t v = 0; v < kVectors; ++v) dot[v] = norm[v] = hn::Zero(F32());
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    FetchAhead(base + i);
    FetchAhead(fine + i);
    AbsDotGroup<As, kNorm>(base + i, fine + i, scale + i, dot, norm);
  }
  if (i < n) {
    Raw last_base[kLanes] = {};
    Raw last_fine[kLanes] = {};
    float last_scale[kLanes] = {};
    std::memcpy(last_base, base + i, (n - i) * sizeof(Raw));
    std::memcpy(last_fine, fine + i, (n - i) * sizeof(Raw));
    std::memcpy(last_scale, scale + i, (n - i) * sizeof(float));
    AbsDotGroup<As, kNorm>(last_base, last_fine, last_scale, dot, norm);
  }
#pragma GCC unroll 16
  for (size_t v = 0; v < kVectors; ++v) {
    hn::StoreU(dot[v], F32(), dots + v * kWidth);
    if (kNorm) hn::StoreU(norm[v], F32(), norms + v * kWidth);
  }
}

void AbsDotBlock(const BlockPair& pair, const float* scale, size_t n, float* dots, float* norms) {
  WithType(pair.type, [&](auto as) {
    using As = decltype(as);
    norms != nullptr ? AbsDotAs<As, true>(pair, scale, n, dots, norms)
                     : AbsDotAs<As, false>(pair, scale, n, dots, norms);
  });
}

}  // namespace signum::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // SIGNUM_HAVE_HIGHWAY

#if !SIGNUM_HAVE_HIGHWAY || HWY_ONCE
namespace signum::kernels {

namespace reference {

AbsDot AbsDotRow(ConstRow base, ConstRow fine, const float* col_scale, size_t k,
                 bool changed_norm) {
  AbsDot sums;
  for (size_t first = 0; first < k; first += kBlockColumns) {
    float dot[kLanes] = {};
    float norm[kLanes] = {};
    const size_t end = std::min(k, first + kBlockColumns);
    for (size_t j = first; j < end; ++j) {
      const float delta = LoadElement(fine, j) - LoadElement(base, j);
      dot[j % kLanes] += std::fabs(delta) * col_scale[j];
      if (delta != 0) norm[j % kLanes] += col_scale[j] * col_scale[j];
    }
    sums.dot += SumLanes(dot);
    if (changed_norm) sums.norm += SumLanes(norm);
  }
  return sums;
}

}  // namespace reference

#if SIGNUM_HAVE_HIGHWAY
HWY_EXPORT(AbsDotBlock);

AbsDot AbsDotRow(ConstRow base, ConstRow fine, const float* col_scale, size_t k,
                 bool changed_norm) {
  if (UseReference()) return reference::AbsDotRow(base, fine, col_scale, k, changed_norm);
  const auto block = HWY_DYNAMIC_DISPATCH(AbsDotBlock);
  AbsDot sums;
  PairBuffers buffers;
  for (size_t first = 0; first < k; first += kBlockColumns) {
    const size_t n = std::min(k - first, kBlockColumns);
    const BlockPair pair = Unify(base.From(first), fine.From(first), n, buffers);
    float dot[kLanes];
    float norm[kLanes];
    block(pair, col_scale + first, n, dot, changed_norm ? norm : nullptr);
    sums.dot += SumLanes(dot);
    if (changed_norm) sums.norm += SumLanes(norm);
  }
  return sums;
}
#else
AbsDot AbsDotRow(ConstRow base, ConstRow fine, const float* col_scale, size_t k,
                 bool changed_norm) {
  return reference::AbsDotRow(base, fine, col_scale, k, changed_norm);
}
#endif

}  // namespace signum::kernels
#endif
