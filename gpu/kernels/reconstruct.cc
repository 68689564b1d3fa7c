#include "gpu/kernels/reconstruct.h"

#include <algorithm>

#include "gpu/kernels/convert.h"
#include "gpu/kernels/lanes.h"
#include "gpu/kernels/scalar.h"
#include "gpu/kernels/simd.h"

#if SIGNUM_HAVE_HIGHWAY
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpu/kernels/reconstruct.cc"
#include <hwy/foreach_target.h>

#include "gpu/kernels/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace signum::kernels::HWY_NAMESPACE {

// One group of kLanes columns.
template <class As, bool kCol, bool kMask>
HWY_INLINE void ReconstructGroup(const typename As::Raw* base, uint64_t sign, uint64_t mask, VF row,
                                 const float* col, typename As::Raw* out) {
  const F32 d;
#pragma GCC unroll 16
  for (size_t v = 0; v < kVectors; ++v) {
    const VF old = As::Load(base + v * kWidth);
    const VF s = kCol ? hn::Mul(row, hn::LoadU(d, col + v * kWidth)) : row;
    const VF add = hn::IfThenElse(MaskOf(sign >> (v * kWidth)), s, hn::Neg(s));
    VF sum = hn::Add(old, add);
    if (kMask) sum = hn::IfThenElse(MaskOf(mask >> (v * kWidth)), sum, old);
    As::Store(sum, out + v * kWidth);
  }
}

HWY_INLINE uint64_t LoadBits(const uint8_t* bits, size_t bytes) {
  uint64_t word = 0;
  std::memcpy(&word, bits, bytes);
  return word;
}

template <class As, bool kCol, bool kMask>
void ReconstructAs(const void* base_data, const SignScales& scales, size_t n, void* out_data) {
  using Raw = typename As::Raw;
  const auto* base = static_cast<const Raw*>(base_data);
  auto* out = static_cast<Raw*>(out_data);
  const VF row = hn::Set(F32(), scales.row_scale);
  size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    FetchAhead(base + i);
    const uint64_t mask = kMask ? LoadBits(scales.mask + i / 8, 8) : 0;
    ReconstructGroup<As, kCol, kMask>(base + i, LoadBits(scales.sign + i / 8, 8), mask, row,
                                      kCol ? scales.col_scale + i : nullptr, out + i);
  }
  if (i == n) return;
  Raw last_base[kLanes] = {};
  Raw last_out[kLanes];
  float last_col[kLanes] = {};
  std::memcpy(last_base, base + i, (n - i) * sizeof(Raw));
  if (kCol) std::memcpy(last_col, scales.col_scale + i, (n - i) * sizeof(float));
  const uint64_t mask = kMask ? LoadBits(scales.mask + i / 8, BitBytes(n - i)) : 0;
  ReconstructGroup<As, kCol, kMask>(last_base, LoadBits(scales.sign + i / 8, BitBytes(n - i)), mask,
                                    row, last_col, last_out);
  std::memcpy(out + i, last_out, (n - i) * sizeof(Raw));
}

template <class As>
void ReconstructKind(const void* base, const SignScales& scales, size_t n, void* out) {
  const bool mask = scales.mask != nullptr;
  if (scales.col_scale != nullptr) {
    return mask ? ReconstructAs<As, true, true>(base, scales, n, out)
                : ReconstructAs<As, true, false>(base, scales, n, out);
  }
  return mask ? ReconstructAs<As, false, true>(base, scales, n, out)
              : ReconstructAs<As, false, false>(base, scales, n, out);
}

// base and out of one type.
void ReconstructBlock(Element type, const void* base, const SignScales& scales, size_t n,
                      void* out) {
  WithType(type, [&](auto as) { ReconstructKind<decltype(as)>(base, scales, n, out); });
}

}  // namespace signum::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // SIGNUM_HAVE_HIGHWAY

#if !SIGNUM_HAVE_HIGHWAY || HWY_ONCE
namespace signum::kernels {

namespace reference {

void ReconstructRow(ConstRow base, const SignScales& scales, size_t n, MutableRow out) {
  for (size_t j = 0; j < n; ++j) {
    float value = LoadElement(base, j);
    if (scales.mask == nullptr || TestBit(scales.mask, j)) {
      const float s =
          scales.col_scale != nullptr ? scales.row_scale * scales.col_scale[j] : scales.row_scale;
      value = TestBit(scales.sign, j) ? value + s : value - s;
    }
    StoreElement(out, j, value);
  }
}

}  // namespace reference

#if SIGNUM_HAVE_HIGHWAY
HWY_EXPORT(ReconstructBlock);

namespace {

SignScales From(const SignScales& scales, size_t first) {
  SignScales rest = scales;
  rest.sign += first / 8;
  if (rest.mask != nullptr) rest.mask += first / 8;
  if (rest.col_scale != nullptr) rest.col_scale += first;
  return rest;
}

// Through float32: types that differ, and F64.
void ReconstructMixed(ConstRow base, const SignScales& scales, size_t n, MutableRow out) {
  float values[kBlockColumns];
  float rebuilt[kBlockColumns];
  for (size_t first = 0; first < n; first += kBlockColumns) {
    const size_t count = std::min(n - first, kBlockColumns);
    ToFloat(base.From(first), count, values);
    HWY_DYNAMIC_DISPATCH(ReconstructBlock)
    (Element::kF32, values, From(scales, first), count, rebuilt);
    FromFloat(rebuilt, count, out.From(first));
  }
}

}  // namespace

void ReconstructRow(ConstRow base, const SignScales& scales, size_t n, MutableRow out) {
  if (n == 0) return;
  if (UseReference()) return reference::ReconstructRow(base, scales, n, out);
  if (base.type != out.type || base.type == Element::kF64) {
    return ReconstructMixed(base, scales, n, out);
  }
  HWY_DYNAMIC_DISPATCH(ReconstructBlock)(base.type, base.data, scales, n, out.data);
}
#else
void ReconstructRow(ConstRow base, const SignScales& scales, size_t n, MutableRow out) {
  reference::ReconstructRow(base, scales, n, out);
}
#endif

}  // namespace signum::kernels
#endif
