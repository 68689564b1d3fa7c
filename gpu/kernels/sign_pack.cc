#include "gpu/kernels/sign_pack.h"

#include <algorithm>
#include <cmath>

#include "gpu/kernels/pair.h"
#include "gpu/kernels/scalar.h"
#include "gpu/kernels/simd.h"

#if SIGNUM_HAVE_HIGHWAY
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpu/kernels/sign_pack.cc"
#include <hwy/foreach_target.h>

#include "gpu/kernels/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace signum::kernels::HWY_NAMESPACE {

// One group of kLanes columns: adds |Δ| to the lanes, returns the bits.
struct GroupBits {
  uint64_t positive = 0;
  uint64_t nonzero = 0;
};
template <class As>
HWY_INLINE GroupBits SignPackGroup(const typename As::Raw* base, const typename As::Raw* fine,
                                   VF* lanes) {
  GroupBits bits;
  const VF zero = hn::Zero(F32());
#pragma GCC unroll 16
  for (size_t v = 0; v < kVectors; ++v) {
    const VF delta = hn::Sub(As::Load(fine + v * kWidth), As::Load(base + v * kWidth));
    lanes[v] = hn::Add(lanes[v], hn::Abs(delta));
    bits.positive |= BitsOf(hn::Gt(delta, zero)) << (v * kWidth);
    bits.nonzero |= BitsOf(hn::Ne(delta, zero)) << (v * kWidth);
  }
  return bits;
}

// A block of n <= kBlockColumns columns; returns how many differences are not 0.
template <class As, bool kMask>
size_t SignPackAs(const void* base_data, const void* fine_data, size_t n, uint8_t* sign,
                  uint8_t* mask, float* sums) {
  using Raw = typename As::Raw;
  const auto* base = static_cast<const Raw*>(base_data);
  const auto* fine = static_cast<const Raw*>(fine_data);
  VF lanes[kVectors];
#pragma GCC unroll 16
  for (size_t v = 0; v < kVectors; ++v) lanes[v] = hn::Zero(F32());
  size_t nonzero = 0;
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    FetchAhead(base + i);
    FetchAhead(fine + i);
    const GroupBits bits = SignPackGroup<As>(base + i, fine + i, lanes);
    std::memcpy(sign + i / 8, &bits.positive, 8);
    if (kMask) std::memcpy(mask + i / 8, &bits.nonzero, 8);
    nonzero += hwy::PopCount(bits.nonzero);
  }
  if (i < n) {
    Raw last_base[kLanes] = {};
    Raw last_fine[kLanes] = {};
    std::memcpy(last_base, base + i, (n - i) * sizeof(Raw));
    std::memcpy(last_fine, fine + i, (n - i) * sizeof(Raw));
    const GroupBits bits = SignPackGroup<As>(last_base, last_fine, lanes);
    std::memcpy(sign + i / 8, &bits.positive, BitBytes(n - i));
    if (kMask) std::memcpy(mask + i / 8, &bits.nonzero, BitBytes(n - i));
    nonzero += hwy::PopCount(bits.nonzero);
  }
#pragma GCC unroll 16
  for (size_t v = 0; v < kVectors; ++v) hn::StoreU(lanes[v], F32(), sums + v * kWidth);
  return nonzero;
}

size_t SignPackBlock(const BlockPair& pair, size_t n, uint8_t* sign, uint8_t* mask, float* sums) {
  return WithType(pair.type, [&](auto as) {
    using As = decltype(as);
    return mask != nullptr ? SignPackAs<As, true>(pair.base, pair.fine, n, sign, mask, sums)
                           : SignPackAs<As, false>(pair.base, pair.fine, n, sign, mask, sums);
  });
}

}  // namespace signum::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // SIGNUM_HAVE_HIGHWAY

#if !SIGNUM_HAVE_HIGHWAY || HWY_ONCE
namespace signum::kernels {

namespace reference {

RowStats SignPackRow(ConstRow base, ConstRow fine, size_t k, uint8_t* sign, uint8_t* mask) {
  RowStats stats;
  std::fill_n(sign, BitBytes(k), uint8_t{0});
  if (mask != nullptr) std::fill_n(mask, BitBytes(k), uint8_t{0});
  for (size_t first = 0; first < k; first += kBlockColumns) {
    float lanes[kLanes] = {};
    const size_t end = std::min(k, first + kBlockColumns);
    for (size_t j = first; j < end; ++j) {
      const float delta = LoadElement(fine, j) - LoadElement(base, j);
      lanes[j % kLanes] += std::fabs(delta);
      if (delta > 0) SetBit(sign, j);
      if (delta == 0) {
        ++stats.zeros;
      } else if (mask != nullptr) {
        SetBit(mask, j);
      }
    }
    stats.sum_abs += SumLanes(lanes);
  }
  return stats;
}

}  // namespace reference

#if SIGNUM_HAVE_HIGHWAY
HWY_EXPORT(SignPackBlock);

RowStats SignPackRow(ConstRow base, ConstRow fine, size_t k, uint8_t* sign, uint8_t* mask) {
  if (UseReference()) return reference::SignPackRow(base, fine, k, sign, mask);
  const auto block = HWY_DYNAMIC_DISPATCH(SignPackBlock);
  RowStats stats;
  PairBuffers buffers;
  for (size_t first = 0; first < k; first += kBlockColumns) {
    const size_t n = std::min(k - first, kBlockColumns);
    const BlockPair pair = Unify(base.From(first), fine.From(first), n, buffers);
    float lanes[kLanes];
    const size_t nonzero =
        block(pair, n, sign + first / 8, mask != nullptr ? mask + first / 8 : nullptr, lanes);
    stats.zeros += n - nonzero;
    stats.sum_abs += SumLanes(lanes);
  }
  return stats;
}
#else
RowStats SignPackRow(ConstRow base, ConstRow fine, size_t k, uint8_t* sign, uint8_t* mask) {
  return reference::SignPackRow(base, fine, k, sign, mask);
}
#endif

}  // namespace signum::kernels
#endif
