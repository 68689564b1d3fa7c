#include "gpu/kernels/row_matrix.h"

#include <algorithm>

#include "gpu/kernels/lanes.h"
#include "gpu/kernels/simd.h"

#if SIGNUM_HAVE_HIGHWAY
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "gpu/kernels/row_matrix.cc"
#include <hwy/foreach_target.h>

#include "gpu/kernels/load-inl.h"

HWY_BEFORE_NAMESPACE();
namespace signum::kernels::HWY_NAMESPACE {

constexpr size_t kFewColumns = 16;  // the most lanes a vector has (load-inl.h)

// kColumns columns, held in registers over all rows.
template <size_t kColumns>
HWY_INLINE void ColumnGroup(const float* row, const float* matrix, size_t rows, size_t stride,
                            float* out) {
  const F32 d;
  constexpr size_t kCount = kColumns / kWidth;
  VF sums[kCount];
#pragma GCC unroll 16
  for (size_t v = 0; v < kCount; ++v) sums[v] = hn::Zero(d);
  for (size_t i = 0; i < rows; ++i) {
    const VF factor = hn::Set(d, row[i]);
    const float* from = matrix + i * stride;
#pragma GCC unroll 16
    for (size_t v = 0; v < kCount; ++v) {
      sums[v] = hn::Add(sums[v], hn::Mul(factor, hn::LoadU(d, from + v * kWidth)));
    }
  }
#pragma GCC unroll 16
  for (size_t v = 0; v < kCount; ++v) hn::StoreU(sums[v], d, out + v * kWidth);
}

void RowTimesGroups(const float* row, const float* matrix, size_t rows, size_t stride, size_t n,
                    float* out) {
  size_t j = 0;
  for (; j + kLanes <= n; j += kLanes) {
    ColumnGroup<kLanes>(row, matrix + j, rows, stride, out + j);
  }
  for (; j + kFewColumns <= n; j += kFewColumns) {
    ColumnGroup<kFewColumns>(row, matrix + j, rows, stride, out + j);
  }
}

}  // namespace signum::kernels::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // SIGNUM_HAVE_HIGHWAY

#if !SIGNUM_HAVE_HIGHWAY || HWY_ONCE
namespace signum::kernels {

namespace reference {

void RowTimesMatrix(const float* row, const float* matrix, size_t rows, size_t stride, size_t n,
                    float* out) {
  std::fill_n(out, n, 0.0F);
  for (size_t i = 0; i < rows; ++i) {
    const float factor = row[i];
    const float* from = matrix + i * stride;
    for (size_t j = 0; j < n; ++j) out[j] += factor * from[j];
  }
}

}  // namespace reference

#if SIGNUM_HAVE_HIGHWAY
HWY_EXPORT(RowTimesGroups);

void RowTimesMatrix(const float* row, const float* matrix, size_t rows, size_t stride, size_t n,
                    float* out) {
  if (UseReference() || rows == 0)
    return reference::RowTimesMatrix(row, matrix, rows, stride, n, out);
  HWY_DYNAMIC_DISPATCH(RowTimesGroups)(row, matrix, rows, stride, n, out);
  constexpr size_t kGroup = 16;
  const size_t done = n / kGroup * kGroup;
  reference::RowTimesMatrix(row, matrix + done, rows, stride, n - done, out + done);
}
#else
void RowTimesMatrix(const float* row, const float* matrix, size_t rows, size_t stride, size_t n,
                    float* out) {
  reference::RowTimesMatrix(row, matrix, rows, stride, n, out);
}
#endif

namespace {

// Sums term(j) over j < n in the reduction order. Whole groups of lanes have a loop of their own,
// which compilers turn into vector code.
template <class Term>
double SumTerms(size_t n, Term term) {
  double sum = 0;
  for (size_t first = 0; first < n; first += kBlockColumns) {
    float lanes[kLanes] = {};
    const size_t end = std::min(n, first + kBlockColumns);
    size_t j = first;
    for (; j + kLanes <= end; j += kLanes) {
      for (size_t l = 0; l < kLanes; ++l) lanes[l] += term(j + l);
    }
    for (size_t l = 0; j + l < end; ++l) lanes[l] += term(j + l);
    sum += SumLanes(lanes);
  }
  return sum;
}

}  // namespace

double Dot(const float* a, const float* b, size_t n) {
  return SumTerms(n, [&](size_t j) { return a[j] * b[j]; });
}

double SquaredDistance(const float* a, const float* b, size_t n) {
  return SumTerms(n, [&](size_t j) { return (a[j] - b[j]) * (a[j] - b[j]); });
}

}  // namespace signum::kernels
#endif
