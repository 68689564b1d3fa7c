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

// A block's columns, a group of kLanes at a time: |Δ| by lane, bits, how many differences are 0.
template <class As>
struct Columns {
  using Raw = typename As::Raw;

  VF lanes[kVectors];
  size_t nonzero = 0;

  HWY_INLINE Columns() {
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) lanes[v] = hn::Zero(F32());
  }

  template <bool kMask>
  HWY_INLINE void Group(const Raw* base, const Raw* fine, uint8_t* sign, uint8_t* mask) {
    uint64_t positive_bits = 0;
    uint64_t nonzero_bits = 0;
    const VF zero = hn::Zero(F32());
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) {
      const VF delta = hn::Sub(As::Load(fine + v * kWidth), As::Load(base + v * kWidth));
      lanes[v] = hn::Add(lanes[v], hn::Abs(delta));
      positive_bits |= BitsOf(hn::Gt(delta, zero)) << (v * kWidth);
      nonzero_bits |= BitsOf(hn::Ne(delta, zero)) << (v * kWidth);
    }
    std::memcpy(sign, &positive_bits, kLanes / 8);
    if (kMask) std::memcpy(mask, &nonzero_bits, kLanes / 8);
    nonzero += hwy::PopCount(nonzero_bits);
  }

  HWY_INLINE size_t Nonzero(size_t) const { return nonzero; }

  HWY_INLINE void StoreSums(float* sums) const {
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) hn::StoreU(lanes[v], F32(), sums + v * kWidth);
  }
};

#if HWY_TARGET == HWY_AVX2
// The same for bf16: 16 elements are read at once and taken apart into even and odd columns by a
// shift and a mask, which cost less than two widenings, and two masks of bits are joined before
// they leave the vector. A lane's sums are those of its column all the same.
template <>
struct Columns<AsBf16> {
  using Raw = uint16_t;
  static constexpr size_t kUnits = kVectors / 2;  // of 2 · kWidth columns
  using U16x2 = hn::Repartition<uint16_t, F32>;
  using U8x4 = hn::Repartition<uint8_t, F32>;
  using I32 = hn::RebindToSigned<U32>;

  VF even[kUnits], odd[kUnits];
  hn::Vec<I32> zeros = hn::Zero(I32());  // negative, a lane each

  HWY_INLINE Columns() {
#pragma GCC unroll 8
    for (size_t u = 0; u < kUnits; ++u) even[u] = odd[u] = hn::Zero(F32());
  }

  struct Masks {  // of a unit's columns in their order
    hn::Vec<U16x2> positive, zero;
  };
  HWY_INLINE Masks Unit(const uint16_t* base, const uint16_t* fine, size_t u) {
    const VU b = hn::BitCast(U32(), hn::LoadU(U16x2(), base));
    const VU f = hn::BitCast(U32(), hn::LoadU(U16x2(), fine));
    const VU high = hn::Set(U32(), 0xffff0000u);
    const VF even_delta =
        hn::Sub(hn::BitCast(F32(), hn::ShiftLeft<16>(f)), hn::BitCast(F32(), hn::ShiftLeft<16>(b)));
    const VF odd_delta =
        hn::Sub(hn::BitCast(F32(), hn::And(f, high)), hn::BitCast(F32(), hn::And(b, high)));
    even[u] = hn::Add(even[u], hn::Abs(even_delta));
    odd[u] = hn::Add(odd[u], hn::Abs(odd_delta));
    const VF none = hn::Zero(F32());
    const VF even_zero = hn::VecFromMask(F32(), hn::Eq(even_delta, none));
    const VF odd_zero = hn::VecFromMask(F32(), hn::Eq(odd_delta, none));
    zeros = hn::Add(zeros, hn::Add(hn::BitCast(I32(), even_zero), hn::BitCast(I32(), odd_zero)));
    return {Join(hn::VecFromMask(F32(), hn::Gt(odd_delta, none)),
                 hn::VecFromMask(F32(), hn::Gt(even_delta, none))),
            Join(odd_zero, even_zero)};
  }
  static HWY_INLINE hn::Vec<U16x2> Join(VF odd, VF even) {
    return hn::OddEven(hn::BitCast(U16x2(), odd), hn::BitCast(U16x2(), even));
  }

  // Writes the bits of two units' masks.
  static HWY_INLINE void Store(hn::Vec<U16x2> high, hn::Vec<U16x2> low, uint8_t* to) {
    const U8x4 bytes;
    const auto both = hn::ConcatEven(bytes, hn::BitCast(bytes, high), hn::BitCast(bytes, low));
    hn::StoreMaskBits(bytes, hn::MaskFromVec(both), to);
  }

  template <bool kMask>
  HWY_INLINE void Group(const uint16_t* base, const uint16_t* fine, uint8_t* sign, uint8_t* mask) {
    constexpr size_t kColumns = 2 * kWidth;
#pragma GCC unroll 4
    for (size_t u = 0; u < kUnits; u += 2) {
      const Masks low = Unit(base + u * kColumns, fine + u * kColumns, u);
      const Masks high = Unit(base + (u + 1) * kColumns, fine + (u + 1) * kColumns, u + 1);
      Store(high.positive, low.positive, sign + u * kColumns / 8);
      if (kMask) Store(hn::Not(high.zero), hn::Not(low.zero), mask + u * kColumns / 8);
    }
  }

  // Of `columns` in whole groups: what a row's end lacks counts as 0.
  HWY_INLINE size_t Nonzero(size_t columns) const {
    return columns + static_cast<size_t>(hn::GetLane(hn::SumOfLanes(I32(), zeros)));
  }

  HWY_INLINE void StoreSums(float* sums) const {
#pragma GCC unroll 8
    for (size_t u = 0; u < kUnits; ++u) {
      hn::StoreInterleaved2(even[u], odd[u], F32(), sums + u * 2 * kWidth);
    }
  }
};

#endif  // AVX2

// A block of n <= kBlockColumns columns; returns how many differences are not 0.
template <class As, bool kMask>
size_t SignPackAs(const void* base_data, const void* fine_data, size_t n, uint8_t* sign,
                  uint8_t* mask, float* sums) {
  using Raw = typename As::Raw;
  const auto* base = static_cast<const Raw*>(base_data);
  const auto* fine = static_cast<const Raw*>(fine_data);
  Columns<As> columns;
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    FetchAhead(base + i);
    FetchAhead(fine + i);
    columns.template Group<kMask>(base + i, fine + i, sign + i / 8, kMask ? mask + i / 8 : nullptr);
  }
  if (i < n) {
    Raw last_base[kLanes] = {};
    Raw last_fine[kLanes] = {};
    uint8_t last_sign[kLanes / 8];
    uint8_t last_mask[kLanes / 8];
    std::memcpy(last_base, base + i, (n - i) * sizeof(Raw));
    std::memcpy(last_fine, fine + i, (n - i) * sizeof(Raw));
    columns.template Group<kMask>(last_base, last_fine, last_sign, last_mask);
    std::memcpy(sign + i / 8, last_sign, BitBytes(n - i));
    if (kMask) std::memcpy(mask + i / 8, last_mask, BitBytes(n - i));
    i += kLanes;
  }
  columns.StoreSums(sums);
  return columns.Nonzero(i);
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
