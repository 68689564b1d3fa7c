// Vector counterparts of scalar.h, one copy a Highway target (included again by foreach_target.h,
// hence the toggled guard instead of #pragma once).
#if defined(SIGNUM_GPU_KERNELS_LOAD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef SIGNUM_GPU_KERNELS_LOAD_INL_H_
#undef SIGNUM_GPU_KERNELS_LOAD_INL_H_
#else
#define SIGNUM_GPU_KERNELS_LOAD_INL_H_
#endif

#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include <cstring>

#include "gpu/kernels/element.h"
#include "gpu/kernels/lanes.h"

HWY_BEFORE_NAMESPACE();
namespace signum::kernels::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// At most 16 lanes, so that a group of kLanes columns is a whole number of vectors.
using F32 = hn::CappedTag<float, 16>;
using U32 = hn::CappedTag<uint32_t, 16>;
using U16 = hn::Rebind<uint16_t, F32>;
using VF = hn::Vec<F32>;
using VU = hn::Vec<U32>;
constexpr size_t kWidth = hn::MaxLanes(F32());
constexpr size_t kVectors = kLanes / kWidth;  // vectors in a group of kLanes columns

// How elements lie in memory; Load and Store work at any alignment.
struct AsF32 {
  using Raw = float;
  static HWY_INLINE VF Load(const Raw* from) { return hn::LoadU(F32(), from); }
  static HWY_INLINE void Store(VF v, Raw* to) { hn::StoreU(v, F32(), to); }
};

struct AsBf16 {
  using Raw = uint16_t;
  static HWY_INLINE VF Load(const Raw* from) {
    const VU wide = hn::PromoteTo(U32(), hn::LoadU(U16(), from));
    return hn::BitCast(F32(), hn::ShiftLeft<16>(wide));
  }
  static HWY_INLINE void Store(VF v, Raw* to) {
    const U32 d;
    const VU u = hn::BitCast(d, v);
    const VU odd = hn::And(hn::ShiftRight<16>(u), hn::Set(d, 1));
    const VU rounded = hn::ShiftRight<16>(hn::Add(hn::Add(u, hn::Set(d, 0x7fff)), odd));
    const VU quiet = hn::Or(hn::ShiftRight<16>(u), hn::Set(d, 0x40));
    const auto is_nan = hn::RebindMask(d, hn::IsNaN(v));
    hn::StoreU(hn::TruncateTo(U16(), hn::IfThenElse(is_nan, quiet, rounded)), U16(), to);
  }
};

struct AsF16 {
  using Raw = uint16_t;
  static HWY_INLINE VF Load(const Raw* from) {
    const U32 d;
    const F32 df;
    const VU h = hn::PromoteTo(d, hn::LoadU(U16(), from));
    const VU magnitude = hn::ShiftLeft<13>(hn::And(h, hn::Set(d, 0x7fff)));
    const VU exponent = hn::And(h, hn::Set(d, 0x7c00));
    const VU least = hn::Set(d, 113u << 23);
    const VF subnormal =
        hn::Sub(hn::BitCast(df, hn::Add(magnitude, least)), hn::BitCast(df, least));
    VU out = hn::Add(magnitude, hn::Set(d, 112u << 23));
    out = hn::IfThenElse(hn::Eq(exponent, hn::Set(d, 0x7c00)),
                         hn::Or(magnitude, hn::Set(d, 0x7f800000)), out);
    out = hn::IfThenElse(hn::Eq(exponent, hn::Zero(d)), hn::BitCast(d, subnormal), out);
    const VU sign = hn::ShiftLeft<16>(hn::And(h, hn::Set(d, 0x8000)));
    return hn::BitCast(df, hn::Or(out, sign));
  }
  static HWY_INLINE void Store(VF v, Raw* to) {
    const U32 d;
    const F32 df;
    const hn::RebindToSigned<U32> di;
    const VU u = hn::BitCast(d, v);
    const VU magnitude = hn::And(u, hn::Set(d, 0x7fffffff));
    const auto signed_magnitude = hn::BitCast(di, magnitude);  // below 2^31: signed compares do
    const VU rounding = hn::Set(d, 126u << 23);
    const VU tiny = hn::Sub(
        hn::BitCast(d, hn::Add(hn::BitCast(df, magnitude), hn::BitCast(df, rounding))), rounding);
    const VU odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(d, 1));
    const VU rebased = hn::Sub(magnitude, hn::Set(d, (112u << 23) - 0xfff));
    VU out = hn::ShiftRight<13>(hn::Add(rebased, odd));
    const auto is_tiny = hn::Lt(signed_magnitude, hn::Set(di, 113 << 23));
    const auto is_huge = hn::Gt(signed_magnitude, hn::Set(di, (143 << 23) - 1));
    const auto is_nan = hn::Gt(signed_magnitude, hn::Set(di, 0x7f800000));
    out = hn::IfThenElse(hn::RebindMask(d, is_tiny), tiny, out);
    out = hn::IfThenElse(hn::RebindMask(d, is_huge), hn::Set(d, 0x7c00), out);
    out = hn::IfThenElse(hn::RebindMask(d, is_nan), hn::Set(d, 0x7e00), out);
    out = hn::Or(out, hn::And(hn::ShiftRight<16>(u), hn::Set(d, 0x8000)));
    hn::StoreU(hn::TruncateTo(U16(), out), U16(), to);
  }
};

// Asks for the group of kLanes elements that a loop over `from` comes to in kAhead bytes.
// Processors stop fetching ahead at the end of a page, which two weights' pages reach often. Past
// the end of a row lies the next one, or memory that a prefetch may name without touching it.
template <class Raw>
HWY_INLINE void FetchAhead(const Raw* from) {
  constexpr size_t kLine = 64;
  constexpr size_t kAhead = 1024;
  const auto* at = reinterpret_cast<const uint8_t*>(from) + kAhead;
#pragma GCC unroll 4
  for (size_t i = 0; i < kLanes * sizeof(Raw); i += kLine) hwy::Prefetch(at + i);
}

// The bits of a mask, lane 0 lowest.
template <class M>
HWY_INLINE uint64_t BitsOf(M mask) {
  uint8_t bytes[8] = {};
  hn::StoreMaskBits(F32(), mask, bytes);
  uint64_t bits;
  hwy::CopyBytes<8>(bytes, &bits);
  return bits;
}

// The bits of the next `bytes` <= 8 bytes, the first lowest.
HWY_INLINE uint64_t BitWord(const uint8_t* bits, size_t bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bits, bytes);
  return word;
}

// The mask of the lowest kWidth bits.
HWY_INLINE hn::Mask<F32> MaskOf(uint64_t bits) {
  uint8_t bytes[8];
  hwy::CopyBytes<8>(&bits, bytes);
  return hn::LoadMaskBits(F32(), bytes);
}

// Calls use(As…()) with how elements of `type` lie in memory; F64 never comes here (pair.h).
template <class Use>
HWY_INLINE auto WithType(Element type, Use use) {
  if (type == Element::kBF16) return use(AsBf16());
  if (type == Element::kF16) return use(AsF16());
  return use(AsF32());
}

}  // namespace signum::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
