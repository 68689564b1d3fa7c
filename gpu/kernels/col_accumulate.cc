#include "gpu/kernels/col_accumulate.h"

#include <algorithm>
#include <cmath>

#include "gpu/kernels/pair.h"
#include "gpu/kernels/scalar.h"
#include "gpu/kernels/simd.h"

#if SIGNUM_HAVE_HIGHWAY
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpu/kernels/col_accumulate.cc"
#include <hwy/foreach_target.h>

#include "gpu/kernels/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace signum::kernels::HWY_NAMESPACE {

template <class As, bool kNorm>
HWY_INLINE void AccumulateVector(const typename As::Raw* base, const typename As::Raw* fine,
                                 VF scale, VF square, float* dot, float* norm) {
  const F32 d;
  const VF delta = hn::Sub(As::Load(fine), As::Load(base));
  hn::StoreU(hn::Add(hn::LoadU(d, dot), hn::Mul(hn::Abs(delta), scale)), d, dot);
  if (!kNorm) return;
  const VF add = hn::IfThenElseZero(hn::Ne(delta, hn::Zero(d)), square);
  hn::StoreU(hn::Add(hn::LoadU(d, norm), add), d, norm);
}

template <class As, bool kNorm>
void AccumulateAs(const BlockPair& pair, float r, size_t n, float* dot, float* norm) {
  using Raw = typename As::Raw;
  const auto* base = static_cast<const Raw*>(pair.base);
  const auto* fine = static_cast<const Raw*>(pair.fine);
  const VF scale = hn::Set(F32(), r);
  const VF square = hn::Mul(scale, scale);
  size_t i = 0;
  for (; i + kWidth <= n; i += kWidth) {
    AccumulateVector<As, kNorm>(base + i, fine + i, scale, square, dot + i,
                                kNorm ? norm + i : nullptr);
  }
  if (i == n) return;
  Raw last_base[kWidth] = {};
  Raw last_fine[kWidth] = {};
  float last_dot[kWidth] = {};
  float last_norm[kWidth] = {};
  std::memcpy(last_base, base + i, (n - i) * sizeof(Raw));
  std::memcpy(last_fine, fine + i, (n - i) * sizeof(Raw));
  std::memcpy(last_dot, dot + i, (n - i) * sizeof(float));
  if (kNorm) std::memcpy(last_norm, norm + i, (n - i) * sizeof(float));
  AccumulateVector<As, kNorm>(last_base, last_fine, scale, square, last_dot, last_norm);
  std::memcpy(dot + i, last_dot, (n - i) * sizeof(float));
  if (kNorm) std::memcpy(norm + i, last_norm, (n - i) * sizeof(float));
}

void AccumulateBlock(const BlockPair& pair, float r, size_t n, float* dot, float* norm) {
  WithType(pair.type, [&](auto as) {
    using As = decltype(as);
    norm != nullptr ? AccumulateAs<As, true>(pair, r, n, dot, norm)
                    : AccumulateAs<As, false>(pair, r, n, dot, norm);
  });
}

}  // namespace signum::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // SIGNUM_HAVE_HIGHWAY

#if !SIGNUM_HAVE_HIGHWAY || HWY_ONCE
namespace signum::kernels {

namespace reference {

void AccumulateColumns(ConstRow base, ConstRow fine, float r, size_t k, float* dot, float* norm) {
  for (size_t j = 0; j < k; ++j) {
    const float delta = LoadElement(fine, j) - LoadElement(base, j);
    dot[j] += std::fabs(delta) * r;
    if (norm != nullptr && delta != 0) norm[j] += r * r;
  }
}

}  // namespace reference

#if SIGNUM_HAVE_HIGHWAY
HWY_EXPORT(AccumulateBlock);

void AccumulateColumns(ConstRow base, ConstRow fine, float r, size_t k, float* dot, float* norm) {
  if (UseReference()) return reference::AccumulateColumns(base, fine, r, k, dot, norm);
  const auto block = HWY_DYNAMIC_DISPATCH(AccumulateBlock);
  PairBuffers buffers;
  for (size_t first = 0; first < k; first += kBlockColumns) {
    const size_t n = std::min(k - first, kBlockColumns);
    const BlockPair pair = Unify(base.From(first), fine.From(first), n, buffers);
    block(pair, r, n, dot + first, norm != nullptr ? norm + first : nullptr);
  }
}
#else
void AccumulateColumns(ConstRow base, ConstRow fine, float r, size_t k, float* dot, float* norm) {
  reference::AccumulateColumns(base, fine, r, k, dot, norm);
}
#endif

}  // namespace signum::kernels
#endif
