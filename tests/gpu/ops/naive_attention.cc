#include "tests/gpu/ops/naive_attention.h"

#include <cmath>

namespace signum::ops {
namespace {

double Dot(const double* a, const double* b, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

// One query over the keys [first, last] of its sequence and head.
void AttendOne(const double* q, const double* k, const double* v, int64_t kv_stride, int64_t first,
               int64_t last, int64_t dim, double* out) {
  Doubles weights;
  double total = 0;
  for (int64_t j = first; j <= last; ++j) {
    weights.push_back(
        std::exp(Dot(q, k + j * kv_stride, dim) / std::sqrt(static_cast<double>(dim))));
    total += weights.back();
  }
  for (int64_t i = 0; i < dim; ++i) {
    out[i] = 0;
    for (int64_t j = first; j <= last; ++j) {
      out[i] += weights[static_cast<size_t>(j - first)] / total * v[j * kv_stride + i];
    }
  }
}

}  // namespace

Doubles NaiveAttention(const AttentionShape& s, const Doubles& q, const Doubles& k,
                       const Doubles& v) {
  Doubles out(q.size());
  const int64_t q_stride = s.heads * s.head_dim;
  const int64_t kv_stride = s.kv_heads * s.head_dim;
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const int64_t kv = b * s.tokens * kv_stride + h / (s.heads / s.kv_heads) * s.head_dim;
      for (int64_t i = 0; i < s.tokens; ++i) {
        const int64_t at = (b * s.tokens + i) * q_stride + h * s.head_dim;
        const int64_t first = s.window > 0 ? std::max<int64_t>(0, i - s.window + 1) : 0;
        AttendOne(q.data() + at, k.data() + kv, v.data() + kv, kv_stride, first, i, s.head_dim,
                  out.data() + at);
      }
    }
  }
  return out;
}

}  // namespace signum::ops
