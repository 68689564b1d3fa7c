#include "storage/format/byte_planes.h"

#include <algorithm>
#include <cctype>

#include "storage/format/number_range.h"

#if SIGNUM_HAVE_HIGHWAY
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "storage/format/byte_planes.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace signum::HWY_NAMESPACE {

#if HWY_TARGET == HWY_SCALAR
// One number at a time is what the reference does.
size_t SplitVectors(const NumberLayout&, const SplitRange&) { return 0; }
size_t JoinVectors(const NumberLayout&, const JoinRange&) { return 0; }
#else
namespace hn = hwy::HWY_NAMESPACE;

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

// A vector of numbers, from any address.
template <class D>
HWY_INLINE hn::VFromD<D> LoadNumbers(D d, const uint8_t* from) {
  return hn::BitCast(d, hn::LoadU(hn::ScalableTag<uint8_t>(), from));
}

// As many bytes as a vector has numbers, each to a number, and back.
template <class D>
HWY_INLINE hn::VFromD<D> Widen(D d, const uint8_t* from) {
  const auto bytes = hn::LoadU(hn::Rebind<uint8_t, D>(), from);
  if constexpr (sizeof(hn::TFromD<D>) == 1) {
    return bytes;
  } else if constexpr (sizeof(hn::TFromD<D>) == 8) {
    return hn::PromoteTo(d, hn::PromoteTo(hn::Rebind<uint32_t, D>(), bytes));
  } else {
    return hn::PromoteTo(d, bytes);
  }
}

template <class D>
HWY_INLINE hn::VFromD<hn::Rebind<uint8_t, D> > Narrow(D, hn::VFromD<D> v) {
  if constexpr (sizeof(hn::TFromD<D>) == 1) {
    return v;
  } else {
    return hn::TruncateTo(hn::Rebind<uint8_t, D>(), v);
  }
}

// Bytes of the base that are asked for ahead: it is read for the first time here.
constexpr size_t kAhead = 2048;

template <class D>
hn::VFromD<D> LowMask(D d, size_t shift) {
  return hn::Set(d, static_cast<hn::TFromD<D> >((1u << shift) - 1));
}

template <class T, bool kFloat>
size_t SplitAs(const SplitRange& range) {
  const hn::ScalableTag<T> d;
  const hn::Rebind<uint8_t, hn::ScalableTag<T> > bytes;
  const auto mask = LowMask(d, range.shift);
  const auto shift = static_cast<int>(range.shift), bit = static_cast<int>(range.bit);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= range.count; i += hn::Lanes(d)) {
    const size_t at = i * sizeof(T);
    auto z =
        Difference<kFloat>(d, LoadNumbers(d, range.fine + at), LoadNumbers(d, range.base + at));
    if (shift > 0) {
      const auto low = Narrow(d, hn::ShiftLeftSame(hn::And(z, mask), bit));
      hn::StoreU(hn::Or(low, hn::LoadU(bytes, range.low + i)), bytes, range.low + i);
      z = hn::ShiftRightSame(z, shift);
    }
    hn::StoreU(Narrow(d, z), bytes, range.planes[0] + i);
    for (size_t p = 1; p < sizeof(T); ++p) {
      const auto plane = hn::ShiftRightSame(z, static_cast<int>(8 * p));
      hn::StoreU(Narrow(d, plane), bytes, range.planes[p] + i);
    }
  }
  return i;
}

template <class T, bool kFloat>
size_t JoinAs(const JoinRange& range) {
  const hn::ScalableTag<T> d;
  const hn::ScalableTag<uint8_t> bytes;
  const auto mask = LowMask(d, range.shift);
  const auto shift = static_cast<int>(range.shift), bit = static_cast<int>(range.bit);
  size_t i = 0;
  for (; i + hn::Lanes(d) <= range.count; i += hn::Lanes(d)) {
    const size_t at = i * sizeof(T);
    __builtin_prefetch(range.base + at + kAhead);
    auto z = Widen(d, range.planes[0] + i);
    for (size_t p = 1; p < sizeof(T); ++p) {
      z = hn::Or(z, hn::ShiftLeftSame(Widen(d, range.planes[p] + i), static_cast<int>(8 * p)));
    }
    if (shift > 0) {
      const auto low = hn::And(hn::ShiftRightSame(Widen(d, range.low + i), bit), mask);
      z = hn::Or(hn::ShiftLeftSame(z, shift), low);
    }
    const auto fine = Restored<kFloat>(d, z, LoadNumbers(d, range.base + at));
    hn::StoreU(hn::BitCast(bytes, fine), bytes, range.fine + at);
  }
  return i;
}

template <bool kFloat>
size_t SplitWidth(size_t width, const SplitRange& range) {
  if (width == 1) return SplitAs<uint8_t, kFloat>(range);
  if (width == 2) return SplitAs<uint16_t, kFloat>(range);
  return width == 4 ? SplitAs<uint32_t, kFloat>(range) : SplitAs<uint64_t, kFloat>(range);
}

template <bool kFloat>
size_t JoinWidth(size_t width, const JoinRange& range) {
  if (width == 1) return JoinAs<uint8_t, kFloat>(range);
  if (width == 2) return JoinAs<uint16_t, kFloat>(range);
  return width == 4 ? JoinAs<uint32_t, kFloat>(range) : JoinAs<uint64_t, kFloat>(range);
}

// Both return how many numbers they did, whole vectors: the end is left to the reference.
size_t SplitVectors(const NumberLayout& layout, const SplitRange& range) {
  return layout.kind == NumberKind::kFloat ? SplitWidth<true>(layout.width, range)
                                           : SplitWidth<false>(layout.width, range);
}

size_t JoinVectors(const NumberLayout& layout, const JoinRange& range) {
  return layout.kind == NumberKind::kFloat ? JoinWidth<true>(layout.width, range)
                                           : JoinWidth<false>(layout.width, range);
}
#endif  // HWY_SCALAR

}  // namespace signum::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // SIGNUM_HAVE_HIGHWAY

#if !SIGNUM_HAVE_HIGHWAY || HWY_ONCE
namespace signum {

#if SIGNUM_HAVE_HIGHWAY
namespace {

bool use_reference = false;

HWY_EXPORT(SplitVectors);
HWY_EXPORT(JoinVectors);

size_t Fast(const NumberLayout& layout, const SplitRange& range) {
  return use_reference ? 0 : HWY_DYNAMIC_DISPATCH(SplitVectors)(layout, range);
}

size_t Fast(const NumberLayout& layout, const JoinRange& range) {
  return use_reference ? 0 : HWY_DYNAMIC_DISPATCH(JoinVectors)(layout, range);
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
size_t Fast(const NumberLayout&, const SplitRange&) { return 0; }
size_t Fast(const NumberLayout&, const JoinRange&) { return 0; }
}  // namespace

bool ForcePlanesSimd(std::string_view name) { return name.empty() || name == "scalar"; }
std::vector<std::string> PlanesSimdNames() { return {"scalar"}; }
#endif

namespace {

// Calls use(T()) with the unsigned integer of `width` bytes.
template <class Use>
void WithWidth(size_t width, Use use) {
  if (width == 1) return use(uint8_t{});
  if (width == 2) return use(uint16_t{});
  if (width == 4) return use(uint32_t{});
  return use(uint64_t{});
}

// Calls use(range) for the numbers of each group of low bits; all of them where there are none.
template <class Range, class Use>
void ForEachGroup(const Range& all, size_t width, Use use) {
  const size_t group = all.shift == 0 ? all.count : PackedBytes(all.shift, all.count);
  for (size_t first = 0; first < all.count; first += group) {
    Range range = all;
    range.count = std::min(group, all.count - first);
    range.bit = first / group * all.shift;
    range.fine += first * width;
    range.base += first * width;
    for (size_t p = 0; p < width; ++p) range.planes[p] += first;
    use(range);
  }
}

const uint8_t* Bytes(const std::byte* bytes) { return reinterpret_cast<const uint8_t*>(bytes); }
uint8_t* Bytes(std::byte* bytes) { return reinterpret_cast<uint8_t*>(bytes); }

}  // namespace

void SplitDifference(const NumberLayout& layout, size_t shift, const std::byte* fine,
                     const std::byte* base, size_t count, std::byte* planes, std::byte* low) {
  if (layout.kind == NumberKind::kBytes) {
    std::copy_n(fine, count, planes);
    return;
  }
  std::fill_n(low, PackedBytes(shift, count), std::byte{0});
  SplitRange all{count, shift, 0, Bytes(fine), Bytes(base), {}, Bytes(low)};
  for (size_t p = 0; p < layout.width; ++p) all.planes[p] = Bytes(planes) + p * count;
  const bool floats = layout.kind == NumberKind::kFloat;
  ForEachGroup(all, layout.width, [&](const SplitRange& range) {
    const size_t done = Fast(layout, range);
    WithWidth(layout.width, [&](auto number) { SplitRest<decltype(number)>(range, floats, done); });
  });
}

void JoinDifference(const NumberLayout& layout, size_t shift,
                    const std::array<const std::byte*, kMostPlanes>& planes, const std::byte* low,
                    const std::byte* base, size_t count, std::byte* fine) {
  if (layout.kind == NumberKind::kBytes) {
    std::copy_n(planes[0], count, fine);
    return;
  }
  JoinRange all{count, shift, 0, Bytes(fine), Bytes(base), {}, Bytes(low)};
  for (size_t p = 0; p < layout.width; ++p) all.planes[p] = Bytes(planes[p]);
  const bool floats = layout.kind == NumberKind::kFloat;
  ForEachGroup(all, layout.width, [&](const JoinRange& range) {
    const size_t done = Fast(layout, range);
    WithWidth(layout.width, [&](auto number) { JoinRest<decltype(number)>(range, floats, done); });
  });
}

}  // namespace signum
#endif
