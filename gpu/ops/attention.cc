#include "gpu/ops/attention.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gpu/ops/exp.h"
#include "gpu/ops/matmul.h"

namespace signum::ops {
namespace {

// What one head of one sequence works with.
struct Head {
  const AttentionShape& shape;
  int64_t q_stride, kv_stride;  // from token to token
  int64_t q_at, kv_at;          // of the first token

  Head(const AttentionShape& s, int64_t batch, int64_t head)
      : shape(s), q_stride(s.heads * s.head_dim), kv_stride(s.kv_heads * s.head_dim) {
    const int64_t kv_head = head / (s.heads / s.kv_heads);
    q_at = batch * s.tokens * q_stride + head * s.head_dim;
    kv_at = batch * s.tokens * kv_stride + kv_head * s.head_dim;
  }
};

int64_t FirstKey(const AttentionShape& shape, int64_t query) {
  return shape.window > 0 ? std::max<int64_t>(0, query - shape.window + 1) : 0;
}

// c[m, n] (+)= op(a) op(b) on strided heads.
void Product(const float* a, int64_t lda, bool ta, const float* b, int64_t ldb, bool tb, float* c,
             int64_t ldc, int64_t m, int64_t n, int64_t k, bool accumulate = false) {
  MatMul({a, b, c, m, n, k, lda, ldb, ldc, ta, tb, accumulate});
}

// Scores into probabilities, in place: softmax of values[first, end), zeros elsewhere.
void Softmax(float* values, int64_t first, int64_t end, int64_t size, float scale) {
  float most = values[first];
  for (int64_t j = first; j < end; ++j) most = std::max(most, values[j]);
  for (int64_t j = first; j < end; ++j) values[j] = Exp((values[j] - most) * scale);
  float sum = 0;
  for (int64_t j = first; j < end; ++j) sum += values[j];
  const float inverse = 1.0F / sum;
  for (int64_t j = first; j < end; ++j) values[j] *= inverse;
  std::fill(values, values + first, 0.0F);
  std::fill(values + end, values + size, 0.0F);
}

float ScoreScale(const AttentionShape& shape) {
  return 1.0F / std::sqrt(static_cast<float>(shape.head_dim));
}

// Probabilities [tokens, tokens] of a head.
void Probabilities(const Head& head, const float* q, const float* k, float* p) {
  const AttentionShape& s = head.shape;
  Product(q + head.q_at, head.q_stride, false, k + head.kv_at, head.kv_stride, true, p, s.tokens,
          s.tokens, s.tokens, s.head_dim);
  const float scale = ScoreScale(s);
  for (int64_t i = 0; i < s.tokens; ++i) {
    Softmax(p + i * s.tokens, FirstKey(s, i), i + 1, s.tokens, scale);
  }
}

// dS = P ⊙ (dP - rowsum(dP ⊙ P)) · scale, in place over dP.
void ScoreGrad(const AttentionShape& shape, const float* p, float* dp) {
  const float scale = ScoreScale(shape);
  for (int64_t i = 0; i < shape.tokens; ++i) {
    const float* prob = p + i * shape.tokens;
    float* grad = dp + i * shape.tokens;
    float dot = 0;
    for (int64_t j = 0; j <= i; ++j) dot += prob[j] * grad[j];
    for (int64_t j = 0; j < shape.tokens; ++j) grad[j] = prob[j] * (grad[j] - dot) * scale;
  }
}

}  // namespace

void Attention(const AttentionArgs& args) {
  const AttentionShape& s = args.shape;
  std::vector<float> p(static_cast<size_t>(s.tokens * s.tokens));
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const Head head(s, b, h);
      Probabilities(head, args.q, args.k, p.data());
      Product(p.data(), s.tokens, false, args.v + head.kv_at, head.kv_stride, false,
              args.out + head.q_at, head.q_stride, s.tokens, s.head_dim, s.tokens);
    }
  }
}

void AttentionBackward(const AttentionBackwardArgs& args) {
  const AttentionShape& s = args.shape;
  const auto square = static_cast<size_t>(s.tokens * s.tokens);
  std::vector<float> p(square);
  std::vector<float> ds(square);
  const int64_t kv_size = s.batch * s.tokens * s.kv_heads * s.head_dim;
  std::fill(args.dk, args.dk + kv_size, 0.0F);
  std::fill(args.dv, args.dv + kv_size, 0.0F);
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const Head head(s, b, h);
      const float* dout = args.dout + head.q_at;
      Probabilities(head, args.q, args.k, p.data());
      Product(p.data(), s.tokens, true, dout, head.q_stride, false, args.dv + head.kv_at,
              head.kv_stride, s.tokens, s.head_dim, s.tokens, true);
      Product(dout, head.q_stride, false, args.v + head.kv_at, head.kv_stride, true, ds.data(),
              s.tokens, s.tokens, s.tokens, s.head_dim);
      ScoreGrad(s, p.data(), ds.data());
      Product(ds.data(), s.tokens, false, args.k + head.kv_at, head.kv_stride, false,
              args.dq + head.q_at, head.q_stride, s.tokens, s.head_dim, s.tokens);
      Product(ds.data(), s.tokens, true, args.q + head.q_at, head.q_stride, false,
              args.dk + head.kv_at, head.kv_stride, s.tokens, s.head_dim, s.tokens, true);
    }
  }
}

void DecodeAttention(const DecodeAttentionArgs& args) {
  AttentionShape s = args.shape;
  s.tokens = args.capacity;
  const float scale = ScoreScale(s);
  const int64_t first = FirstKey(s, args.length - 1);
  std::vector<float> p(static_cast<size_t>(args.length));
  for (int64_t b = 0; b < s.batch; ++b) {
    for (int64_t h = 0; h < s.heads; ++h) {
      const Head head(s, b, h);
      const int64_t at = (b * s.heads + h) * s.head_dim;
      Product(args.k_cache + head.kv_at, head.kv_stride, false, args.q + at, 1, false, p.data(), 1,
              args.length, 1, s.head_dim);
      Softmax(p.data(), first, args.length, args.length, scale);
      Product(p.data(), args.length, false, args.v_cache + head.kv_at, head.kv_stride, false,
              args.out + at, s.head_dim, 1, s.head_dim, args.length);
    }
  }
}

}  // namespace signum::ops
