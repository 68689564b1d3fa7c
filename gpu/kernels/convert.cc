#include "gpu/kernels/convert.h"

#include <algorithm>

#include "gpu/kernels/lanes.h"
#include "gpu/kernels/scalar.h"
#include "gpu/kernels/simd.h"

#if SIGNUM_HAVE_HIGHWAY
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpu/kernels/convert.cc"
#include <hwy/foreach_target.h>

#include "gpu/kernels/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace signum::kernels::HWY_NAMESPACE {

template <class As>
void LoadAll(const void* from, size_t n, float* to) {
  const auto* raw = static_cast<const typename As::Raw*>(from);
  size_t i = 0;
  for (; i + kWidth <= n; i += kWidth) hn::StoreU(As::Load(raw + i), F32(), to + i);
  if (i == n) return;
  typename As::Raw padded[kWidth] = {};
  float out[kWidth];
  std::memcpy(padded, raw + i, (n - i) * sizeof(typename As::Raw));
  hn::StoreU(As::Load(padded), F32(), out);
  std::memcpy(to + i, out, (n - i) * sizeof(float));
}

template <class As>
void StoreAll(const float* from, size_t n, void* to) {
  auto* raw = static_cast<typename As::Raw*>(to);
  size_t i = 0;
  for (; i + kWidth <= n; i += kWidth) As::Store(hn::LoadU(F32(), from + i), raw + i);
  if (i == n) return;
  float padded[kWidth] = {};
  typename As::Raw out[kWidth];
  std::memcpy(padded, from + i, (n - i) * sizeof(float));
  As::Store(hn::LoadU(F32(), padded), out);
  std::memcpy(raw + i, out, (n - i) * sizeof(typename As::Raw));
}

void Bf16ToFloat(const void* from, size_t n, float* to) { LoadAll<AsBf16>(from, n, to); }
void F16ToFloat(const void* from, size_t n, float* to) { LoadAll<AsF16>(from, n, to); }
void FloatToBf16(const float* from, size_t n, void* to) { StoreAll<AsBf16>(from, n, to); }
void FloatToF16(const float* from, size_t n, void* to) { StoreAll<AsF16>(from, n, to); }

}  // namespace signum::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // SIGNUM_HAVE_HIGHWAY

#if !SIGNUM_HAVE_HIGHWAY || HWY_ONCE
namespace signum::kernels {

namespace reference {

void ToFloat(ConstRow from, size_t n, float* to) {
  for (size_t i = 0; i < n; ++i) to[i] = LoadElement(from, i);
}

void FromFloat(const float* from, size_t n, MutableRow to) {
  for (size_t i = 0; i < n; ++i) StoreElement(to, i, from[i]);
}

}  // namespace reference

#if SIGNUM_HAVE_HIGHWAY
HWY_EXPORT(Bf16ToFloat);
HWY_EXPORT(F16ToFloat);
HWY_EXPORT(FloatToBf16);
HWY_EXPORT(FloatToF16);

void ToFloat(ConstRow from, size_t n, float* to) {
  if (n == 0) return;
  if (from.type == Element::kF32) {
    std::memcpy(to, from.data, n * sizeof(float));
  } else if (from.type == Element::kF64 || UseReference()) {
    reference::ToFloat(from, n, to);  // F64: the compiler's own loop is as good
  } else if (from.type == Element::kBF16) {
    HWY_DYNAMIC_DISPATCH(Bf16ToFloat)(from.data, n, to);
  } else {
    HWY_DYNAMIC_DISPATCH(F16ToFloat)(from.data, n, to);
  }
}

void FromFloat(const float* from, size_t n, MutableRow to) {
  if (n == 0) return;
  if (to.type == Element::kF32) {
    std::memcpy(to.data, from, n * sizeof(float));
  } else if (to.type == Element::kF64 || UseReference()) {
    reference::FromFloat(from, n, to);
  } else if (to.type == Element::kBF16) {
    HWY_DYNAMIC_DISPATCH(FloatToBf16)(from, n, to.data);
  } else {
    HWY_DYNAMIC_DISPATCH(FloatToF16)(from, n, to.data);
  }
}
#else
void ToFloat(ConstRow from, size_t n, float* to) { reference::ToFloat(from, n, to); }
void FromFloat(const float* from, size_t n, MutableRow to) { reference::FromFloat(from, n, to); }
#endif

void ConvertRow(ConstRow from, size_t n, MutableRow to) {
  if (from.type == to.type) {
    if (n > 0) std::memcpy(to.data, from.data, n * ElementBytes(to.type));
    return;
  }
  float values[kBlockColumns];
  for (size_t first = 0; first < n; first += kBlockColumns) {
    const size_t count = std::min(n - first, kBlockColumns);
    ToFloat(from.From(first), count, values);
    FromFloat(values, count, to.From(first));
  }
}

}  // namespace signum::kernels
#endif
