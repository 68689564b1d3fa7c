#include "storage/format/byte_planes.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <type_traits>

#include "storage/base/bytes.h"

#if SIGNUM_HAVE_HIGHWAY
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "storage/format/byte_planes.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace signum::HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR
// One number at a time is what the reference does.
size_t SplitVectors(size_t, bool, const uint8_t*, const uint8_t*, size_t, uint8_t*) { return 0; }
size_t JoinVectors(size_t, bool, const uint8_t*, const uint8_t*, size_t, uint8_t*) { return 0; }
size_t ShiftPlane(size_t, uint8_t*, const uint8_t*, size_t) { return 0; }
size_t UnshiftPlane(size_t, uint8_t*, const uint8_t*, size_t) { return 0; }
#else
namespace hn = hwy::HWY_NAMESPACE;

constexpr size_t kTile = 4096;  // bytes worked on at once: they stay in the first cache

// The sign bit of every lane in all its bits.
template <class V, class D>
HWY_INLINE V Signs(D d, V v) {
  return hn::BitCast(d, hn::BroadcastSignBit(hn::BitCast(hn::RebindToSigned<D>(), v)));
}

// A float's bits as an integer of the same order, and back.
template <bool kFloat, class V, class D>
HWY_INLINE V Ordered(D d, V v) {
  using T = hn::TFromD<D>;
  if (!kFloat) return v;
  return hn::Xor(v, hn::And(Signs(d, v), hn::Set(d, static_cast<T>(static_cast<T>(~T{0}) >> 1))));
}

template <bool kFloat, class V, class D>
HWY_INLINE V Difference(D d, V fine, V base) {
  const V difference = hn::Sub(Ordered<kFloat>(d, fine), Ordered<kFloat>(d, base));
  return hn::Xor(hn::Add(difference, difference), Signs(d, difference));
}

template <bool kFloat, class V, class D>
HWY_INLINE V Restored(D d, V zigzag, V base) {
  const V negative = hn::Sub(hn::Zero(d), hn::And(zigzag, hn::Set(d, 1)));
  const V difference = hn::Xor(hn::ShiftRight<1>(zigzag), negative);
  return Ordered<kFloat>(d, hn::Add(difference, Ordered<kFloat>(d, base)));
}

// out_i = op(a_i, b_i) for `count` numbers, a whole number of vectors.
template <class T, class Op>
HWY_INLINE void Map(const uint8_t* a, const uint8_t* b, size_t count, uint8_t* out, Op op) {
  const hn::ScalableTag<T> d;
  const hn::ScalableTag<uint8_t> bytes;
  const auto load = [&](const uint8_t* from)
                        HWY_ATTR { return hn::BitCast(d, hn::LoadU(bytes, from)); };
  for (size_t i = 0; i < count * sizeof(T); i += hn::Lanes(bytes)) {
    hn::StoreU(hn::BitCast(bytes, op(d, load(a + i), load(b + i))), bytes, out + i);
  }
}

// Takes bytes 0, 2, 4 … to `even` and the others to `odd`; `count` of each, whole vectors.
HWY_INLINE void Unzip(const uint8_t* from, size_t count, uint8_t* even, uint8_t* odd) {
  const hn::ScalableTag<uint8_t> d;
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    const auto low = hn::LoadU(d, from + 2 * i);
    const auto high = hn::LoadU(d, from + 2 * i + hn::Lanes(d));
    hn::StoreU(hn::ConcatEven(d, high, low), d, even + i);
    hn::StoreU(hn::ConcatOdd(d, high, low), d, odd + i);
  }
}

HWY_INLINE void Zip(const uint8_t* even, const uint8_t* odd, size_t count, uint8_t* to) {
  const hn::ScalableTag<uint8_t> d;
  for (size_t i = 0; i < count; i += hn::Lanes(d)) {
    hn::StoreInterleaved2(hn::LoadU(d, even + i), hn::LoadU(d, odd + i), d, to + 2 * i);
  }
}

// The planes of `count` numbers of kWidth bytes: the even bytes' planes, then the odd ones', each
// the same again. Plane p of them lies at planes + p · stride.
template <size_t kWidth>
HWY_INLINE void Split(const uint8_t* from, size_t count, uint8_t* planes, size_t stride) {
  if constexpr (kWidth == 1) {
    std::copy_n(from, count, planes);
  } else if constexpr (kWidth == 2) {
    Unzip(from, count, planes, planes + stride);
  } else {
    uint8_t halves[kTile];
    uint8_t* const odd = halves + count * (kWidth / 2);
    Unzip(from, count * (kWidth / 2), halves, odd);
    Split<kWidth / 2>(halves, count, planes, 2 * stride);
    Split<kWidth / 2>(odd, count, planes + stride, 2 * stride);
  }
}

template <size_t kWidth>
HWY_INLINE void Join(const uint8_t* planes, size_t stride, size_t count, uint8_t* to) {
  if constexpr (kWidth == 1) {
    std::copy_n(planes, count, to);
  } else if constexpr (kWidth == 2) {
    Zip(planes, planes + stride, count, to);
  } else {
    uint8_t halves[kTile];
    uint8_t* const odd = halves + count * (kWidth / 2);
    Join<kWidth / 2>(planes, 2 * stride, count, halves);
    Join<kWidth / 2>(planes + stride, 2 * stride, count, odd);
    Zip(halves, odd, count * (kWidth / 2), to);
  }
}

// How many of `count` numbers are done here, a whole number of vectors of each plane.
HWY_INLINE size_t Whole(size_t count) {
  return count - count % hn::Lanes(hn::ScalableTag<uint8_t>());
}

template <class T, bool kFloat>
size_t SplitAs(const uint8_t* fine, const uint8_t* base, size_t count, uint8_t* planes) {
  uint8_t tile[kTile];
  const size_t whole = Whole(count);
  for (size_t i = 0; i < whole;) {
    const size_t n = std::min(whole - i, kTile / sizeof(T));
    const auto op = [](auto d, auto f, auto b) HWY_ATTR { return Difference<kFloat>(d, f, b); };
    Map<T>(fine + i * sizeof(T), base + i * sizeof(T), n, tile, op);
    Split<sizeof(T)>(tile, n, planes + i, count);
    i += n;
  }
  return whole;
}

template <class T, bool kFloat>
size_t JoinAs(const uint8_t* planes, const uint8_t* base, size_t count, uint8_t* fine) {
  uint8_t tile[kTile];
  const size_t whole = Whole(count);
  for (size_t i = 0; i < whole;) {
    const size_t n = std::min(whole - i, kTile / sizeof(T));
    const auto op = [](auto d, auto z, auto b) HWY_ATTR { return Restored<kFloat>(d, z, b); };
    Join<sizeof(T)>(planes + i, count, n, tile);
    Map<T>(tile, base + i * sizeof(T), n, fine + i * sizeof(T), op);
    i += n;
  }
  return whole;
}

template <bool kFloat>
size_t SplitWidth(size_t width, const uint8_t* fine, const uint8_t* base, size_t count,
                  uint8_t* planes) {
  if (width == 1) return SplitAs<uint8_t, kFloat>(fine, base, count, planes);
  if (width == 2) return SplitAs<uint16_t, kFloat>(fine, base, count, planes);
  if (width == 4) return SplitAs<uint32_t, kFloat>(fine, base, count, planes);
  return SplitAs<uint64_t, kFloat>(fine, base, count, planes);
}

template <bool kFloat>
size_t JoinWidth(size_t width, const uint8_t* planes, const uint8_t* base, size_t count,
                 uint8_t* fine) {
  if (width == 1) return JoinAs<uint8_t, kFloat>(planes, base, count, fine);
  if (width == 2) return JoinAs<uint16_t, kFloat>(planes, base, count, fine);
  if (width == 4) return JoinAs<uint32_t, kFloat>(planes, base, count, fine);
  return JoinAs<uint64_t, kFloat>(planes, base, count, fine);
}

// Both return how many numbers they did: the end is left to the reference.
size_t SplitVectors(size_t width, bool floats, const uint8_t* fine, const uint8_t* base,
                    size_t count, uint8_t* planes) {
  return floats ? SplitWidth<true>(width, fine, base, count, planes)
                : SplitWidth<false>(width, fine, base, count, planes);
}

size_t JoinVectors(size_t width, bool floats, const uint8_t* planes, const uint8_t* base,
                   size_t count, uint8_t* fine) {
  return floats ? JoinWidth<true>(width, planes, base, count, fine)
                : JoinWidth<false>(width, planes, base, count, fine);
}

// plane = plane >> shift, with the low bits of `above` on top; nullptr for zeros.
template <int kShift>
HWY_INLINE size_t ShiftPlaneBy(uint8_t* plane, const uint8_t* above, size_t count) {
  const hn::ScalableTag<uint8_t> d;
  const size_t whole = Whole(count);
  for (size_t i = 0; i < whole; i += hn::Lanes(d)) {
    const auto high = above != nullptr ? hn::LoadU(d, above + i) : hn::Zero(d);
    const auto low = hn::ShiftRight<kShift>(hn::LoadU(d, plane + i));
    hn::StoreU(hn::Or(low, hn::ShiftLeft<8 - kShift>(high)), d, plane + i);
  }
  return whole;
}

// plane = plane << shift, with the high bits of `below` underneath; nullptr for zeros.
template <int kShift>
HWY_INLINE size_t UnshiftPlaneBy(uint8_t* plane, const uint8_t* below, size_t count) {
  const hn::ScalableTag<uint8_t> d;
  const size_t whole = Whole(count);
  for (size_t i = 0; i < whole; i += hn::Lanes(d)) {
    const auto low = below != nullptr ? hn::LoadU(d, below + i) : hn::Zero(d);
    const auto high = hn::ShiftLeft<kShift>(hn::LoadU(d, plane + i));
    hn::StoreU(hn::Or(high, hn::ShiftRight<8 - kShift>(low)), d, plane + i);
  }
  return whole;
}

size_t ShiftPlane(size_t shift, uint8_t* plane, const uint8_t* above, size_t count) {
  if (shift == 1) return ShiftPlaneBy<1>(plane, above, count);
  return shift == 2 ? ShiftPlaneBy<2>(plane, above, count) : ShiftPlaneBy<4>(plane, above, count);
}

size_t UnshiftPlane(size_t shift, uint8_t* plane, const uint8_t* below, size_t count) {
  if (shift == 1) return UnshiftPlaneBy<1>(plane, below, count);
  return shift == 2 ? UnshiftPlaneBy<2>(plane, below, count)
                    : UnshiftPlaneBy<4>(plane, below, count);
}
#endif  // HWY_SCALAR

}  // namespace signum::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // SIGNUM_HAVE_HIGHWAY

#if !SIGNUM_HAVE_HIGHWAY || HWY_ONCE
namespace signum {

namespace {

// ---- the reference: numbers `first` to `count`

template <class T>
T Ordered(T bits, bool floats) {
  constexpr T kRest = static_cast<T>(~T{0}) >> 1;
  const bool negative = (bits >> (8 * sizeof(T) - 1)) != 0;
  return floats && negative ? static_cast<T>(bits ^ kRest) : bits;
}

template <class T>
void SplitRest(bool floats, const std::byte* fine, const std::byte* base, size_t first,
               size_t count, std::byte* planes) {
  for (size_t i = first; i < count; ++i) {
    const T f = Ordered(LoadLe<T>(fine + i * sizeof(T)), floats);
    const T b = Ordered(LoadLe<T>(base + i * sizeof(T)), floats);
    const auto difference = static_cast<T>(f - b);
    const bool negative = (difference >> (8 * sizeof(T) - 1)) != 0;
    const auto zigzag = static_cast<T>((difference << 1) ^ (negative ? ~T{0} : T{0}));
    for (size_t p = 0; p < sizeof(T); ++p) {
      planes[p * count + i] = static_cast<std::byte>(zigzag >> (8 * p) & 0xff);
    }
  }
}

template <class T>
void JoinRest(bool floats, const std::byte* planes, const std::byte* base, size_t first,
              size_t count, std::byte* fine) {
  for (size_t i = first; i < count; ++i) {
    T zigzag = 0;
    for (size_t p = 0; p < sizeof(T); ++p) {
      zigzag = static_cast<T>(zigzag | static_cast<T>(planes[p * count + i]) << (8 * p));
    }
    const auto difference = static_cast<T>((zigzag >> 1) ^ ((zigzag & 1) != 0 ? ~T{0} : T{0}));
    const T b = Ordered(LoadLe<T>(base + i * sizeof(T)), floats);
    StoreLe(fine + i * sizeof(T), Ordered(static_cast<T>(difference + b), floats));
  }
}

// Calls use(T()) with the unsigned integer of `width` bytes.
template <class Use>
void WithWidth(size_t width, Use use) {
  if (width == 1) return use(uint8_t{});
  if (width == 2) return use(uint16_t{});
  if (width == 4) return use(uint32_t{});
  return use(uint64_t{});
}

}  // namespace

#if SIGNUM_HAVE_HIGHWAY
namespace {

bool use_reference = false;

HWY_EXPORT(SplitVectors);
HWY_EXPORT(JoinVectors);
HWY_EXPORT(ShiftPlane);
HWY_EXPORT(UnshiftPlane);

size_t ShiftFast(size_t shift, uint8_t* plane, const uint8_t* above, size_t count) {
  return use_reference ? 0 : HWY_DYNAMIC_DISPATCH(ShiftPlane)(shift, plane, above, count);
}

size_t UnshiftFast(size_t shift, uint8_t* plane, const uint8_t* below, size_t count) {
  return use_reference ? 0 : HWY_DYNAMIC_DISPATCH(UnshiftPlane)(shift, plane, below, count);
}

size_t SplitFast(const NumberLayout& layout, const std::byte* fine, const std::byte* base,
                 size_t count, std::byte* planes) {
  if (use_reference) return 0;
  return HWY_DYNAMIC_DISPATCH(SplitVectors)(
      layout.width, layout.kind == NumberKind::kFloat, reinterpret_cast<const uint8_t*>(fine),
      reinterpret_cast<const uint8_t*>(base), count, reinterpret_cast<uint8_t*>(planes));
}

size_t JoinFast(const NumberLayout& layout, const std::byte* planes, const std::byte* base,
                size_t count, std::byte* fine) {
  if (use_reference) return 0;
  return HWY_DYNAMIC_DISPATCH(JoinVectors)(
      layout.width, layout.kind == NumberKind::kFloat, reinterpret_cast<const uint8_t*>(planes),
      reinterpret_cast<const uint8_t*>(base), count, reinterpret_cast<uint8_t*>(fine));
}

std::string NameOf(int64_t target) {
  std::string name = hwy::TargetName(target);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return name;
}

void Choose(int64_t targets) {
  hwy::SetSupportedTargetsForTest(targets);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  hwy::SetSupportedTargetsForTest(0);
  use_reference = false;
}

}  // namespace

bool ForcePlanesSimd(std::string_view name) {
  if (name == "scalar") return use_reference = true;
  if (name.empty()) return Choose(0), true;
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (NameOf(target) == name) return Choose(target), true;
  }
  return false;
}

std::vector<std::string> PlanesSimdNames() {
  std::vector<std::string> names{"scalar"};
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) names.push_back(NameOf(target));
  return names;
}
#else
namespace {
size_t SplitFast(const NumberLayout&, const std::byte*, const std::byte*, size_t, std::byte*) {
  return 0;
}
size_t JoinFast(const NumberLayout&, const std::byte*, const std::byte*, size_t, std::byte*) {
  return 0;
}
size_t ShiftFast(size_t, uint8_t*, const uint8_t*, size_t) { return 0; }
size_t UnshiftFast(size_t, uint8_t*, const uint8_t*, size_t) { return 0; }
}  // namespace

bool ForcePlanesSimd(std::string_view name) { return name.empty() || name == "scalar"; }
std::vector<std::string> PlanesSimdNames() { return {"scalar"}; }
#endif

void SplitDifference(const NumberLayout& layout, const std::byte* fine, const std::byte* base,
                     size_t count, std::byte* planes) {
  if (layout.kind == NumberKind::kBytes) {
    std::copy_n(fine, count, planes);
    return;
  }
  const size_t done = SplitFast(layout, fine, base, count, planes);
  WithWidth(layout.width, [&](auto number) {
    SplitRest<decltype(number)>(layout.kind == NumberKind::kFloat, fine, base, done, count, planes);
  });
}

void JoinDifference(const NumberLayout& layout, const std::byte* planes, const std::byte* base,
                    size_t count, std::byte* fine) {
  if (layout.kind == NumberKind::kBytes) {
    std::copy_n(planes, count, fine);
    return;
  }
  const size_t done = JoinFast(layout, planes, base, count, fine);
  WithWidth(layout.width, [&](auto number) {
    JoinRest<decltype(number)>(layout.kind == NumberKind::kFloat, planes, base, done, count, fine);
  });
}

namespace {

uint8_t* Bytes(std::byte* bytes) { return reinterpret_cast<uint8_t*>(bytes); }

// to |= the bits of `mask` of each byte of `from`, after a shift of the byte to the left (left > 0)
// or right. A word at a time: what crosses a byte's border is masked away.
void OrBits(const uint8_t* from, size_t count, int left, uint8_t mask, uint8_t* to) {
  const uint64_t masks = mask * 0x0101010101010101u;
  size_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const auto word = LoadLe<uint64_t>(from + i);
    const uint64_t bits = left >= 0 ? (word & masks) << left : word >> -left & masks;
    StoreLe(to + i, LoadLe<uint64_t>(to + i) | bits);
  }
  for (; i < count; ++i) {
    const int bits = left >= 0 ? (from[i] & mask) << left : from[i] >> -left & mask;
    to[i] = static_cast<uint8_t>(to[i] | bits);
  }
}

// The low bits of a plane's bytes, packed, into `to`; or from there under those of `to`.
void MoveLowBits(size_t shift, bool pack, const uint8_t* from, size_t count, uint8_t* to) {
  const size_t packed = PackedBytes(shift, count);
  const auto mask = static_cast<uint8_t>((1u << shift) - 1);
  for (size_t g = 0; g * packed < count; ++g) {
    const size_t first = g * packed, n = std::min(packed, count - first);
    const auto bit = static_cast<int>(g * shift);
    if (pack) {
      OrBits(from + first, n, bit, mask, to);
    } else {
      OrBits(from, n, -bit, mask, to + first);
    }
  }
}

}  // namespace

void ShiftPlanes(size_t shift, size_t width, size_t count, std::byte* planes, std::byte* low) {
  std::fill_n(low, PackedBytes(shift, count), std::byte{0});
  MoveLowBits(shift, true, Bytes(planes), count, Bytes(low));
  for (size_t p = 0; p < width; ++p) {
    uint8_t* const plane = Bytes(planes) + p * count;
    const uint8_t* const above = p + 1 < width ? plane + count : nullptr;
    for (size_t i = ShiftFast(shift, plane, above, count); i < count; ++i) {
      const uint8_t high = above != nullptr ? above[i] : 0;
      plane[i] = static_cast<uint8_t>(plane[i] >> shift | high << (8 - shift));
    }
  }
}

void UnshiftPlanes(size_t shift, size_t width, size_t count, const std::byte* low,
                   std::byte* planes) {
  for (size_t p = width; p-- > 0;) {
    uint8_t* const plane = Bytes(planes) + p * count;
    const uint8_t* const below = p > 0 ? plane - count : nullptr;
    for (size_t i = UnshiftFast(shift, plane, below, count); i < count; ++i) {
      const uint8_t under = below != nullptr ? below[i] : 0;
      plane[i] = static_cast<uint8_t>(plane[i] << shift | under >> (8 - shift));
    }
  }
  MoveLowBits(shift, false, reinterpret_cast<const uint8_t*>(low), count, Bytes(planes));
}

}  // namespace signum
#endif
