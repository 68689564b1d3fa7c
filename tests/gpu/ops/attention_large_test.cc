#include <cmath>

#include "gpu/ops/attention.h"
#include "tests/gpu/ops/cases.h"
#include "tests/gpu/ops/naive_attention.h"

namespace signum::ops {
namespace {

// The gradients at sizes that finite differences cannot reach, by the chain rule in double:
// dv = Pᵀ dout, dS = P ⊙ (dP - rowsum(dP ⊙ P)), dq = dS k / √d, dk = dSᵀ q / √d.
struct Grads {
  Doubles q, k, v;
};
Grads NaiveBackward(const AttentionShape& s, const Floats& q, const Floats& k, const Floats& v,
                    const Floats& dout) {
  Grads g{Doubles(q.size()), Doubles(k.size()), Doubles(v.size())};
  const int64_t d = s.head_dim;
  const double scale = 1.0 / std::sqrt(static_cast<double>(d));
  for (int64_t row = 0; row < s.batch * s.tokens * s.heads; ++row) {
    const int64_t h = row % s.heads;
    const int64_t i = row / s.heads % s.tokens;
    const int64_t b = row / s.heads / s.tokens;
    const int64_t first = s.window > 0 ? std::max<int64_t>(0, i - s.window + 1) : 0;
    const auto key = [&](int64_t j) {
      return static_cast<size_t>(((b * s.tokens + j) * s.kv_heads + h / (s.heads / s.kv_heads)) *
                                 d);
    };
    const auto at = static_cast<size_t>(row * d);
    Doubles p(static_cast<size_t>(i + 1));
    Doubles dp(p.size());
    double total = 0;
    double mean = 0;
    for (int64_t j = first; j <= i; ++j) {
      const auto slot = static_cast<size_t>(j);
      double score = 0;
      for (size_t e = 0; e < static_cast<size_t>(d); ++e) {
        score += double{q[at + e]} * double{k[key(j) + e]};
        dp[slot] += double{dout[at + e]} * double{v[key(j) + e]};
      }
      p[slot] = std::exp(score * scale);
      total += p[slot];
    }
    for (size_t j = static_cast<size_t>(first); j < p.size(); ++j) {
      p[j] /= total;
      mean += p[j] * dp[j];
    }
    for (int64_t j = first; j <= i; ++j) {
      const auto slot = static_cast<size_t>(j);
      const double ds = p[slot] * (dp[slot] - mean) * scale;
      for (size_t e = 0; e < static_cast<size_t>(d); ++e) {
        g.q[at + e] += ds * double{k[key(j) + e]};
        g.k[key(j) + e] += ds * double{q[at + e]};
        g.v[key(j) + e] += p[slot] * double{dout[at + e]};
      }
    }
  }
  return g;
}

void LargeBackward(Backend& backend, Report& report) {
  std::mt19937 random(1);
  for (const AttentionShape& s :
       {AttentionShape{2, 70, 4, 2, 64, 0}, AttentionShape{1, 65, 3, 1, 128, 20},
        AttentionShape{1, 34, 2, 1, 200, 0}}) {
    const Floats q = RandomFloats(random, s.batch * s.tokens * s.heads * s.head_dim);
    const Floats k = RandomFloats(random, s.batch * s.tokens * s.kv_heads * s.head_dim);
    const Floats v = RandomFloats(random, s.batch * s.tokens * s.kv_heads * s.head_dim);
    const Floats dout = RandomFloats(random, static_cast<int64_t>(q.size()));
    const OnDevice<float> on_q(backend, q);
    const OnDevice<float> on_k(backend, k);
    const OnDevice<float> on_v(backend, v);
    const OnDevice<float> on_d(backend, dout);
    const OnDevice<float> dq(backend, q.size());
    const OnDevice<float> dk(backend, k.size());
    const OnDevice<float> dv(backend, v.size());
    backend.AttentionBackward(
        {s, on_q.data(), on_k.data(), on_v.data(), on_d.data(), dq.data(), dk.data(), dv.data()});
    const Grads g = NaiveBackward(s, q, k, v, dout);
    const std::string dim = " at dim " + std::to_string(s.head_dim);
    report.Near(dq.Get(), g.q, 1e-5, "dq" + dim);
    report.Near(dk.Get(), g.k, 1e-5, "dk" + dim);
    report.Near(dv.Get(), g.v, 1e-5, "dv" + dim);
  }
}

// The newest token over a cache sees what the last row of a whole sequence sees.
void DecodeSteps(Backend& backend, Report& report) {
  std::mt19937 random(2);
  for (const AttentionShape& s :
       {AttentionShape{1, 1, 1, 1, 8, 0}, AttentionShape{3, 9, 4, 2, 6, 4},
        AttentionShape{2, 257, 4, 1, 64, 0}, AttentionShape{1, 300, 2, 2, 128, 70},
        AttentionShape{1, 77, 2, 1, 200, 0}}) {
    const int64_t capacity = s.tokens + 5;
    const int64_t dim = s.heads * s.head_dim;
    const int64_t kv_dim = s.kv_heads * s.head_dim;
    const Floats q = RandomFloats(random, s.batch * dim);
    const Floats k = RandomFloats(random, s.batch * capacity * kv_dim);
    const Floats v = RandomFloats(random, s.batch * capacity * kv_dim);
    const OnDevice<float> on_q(backend, q);
    const OnDevice<float> on_k(backend, k);
    const OnDevice<float> on_v(backend, v);
    const OnDevice<float> out(backend, q.size());
    backend.DecodeAttention(
        {s, on_q.data(), on_k.data(), on_v.data(), out.data(), capacity, s.tokens});
    Doubles expected;
    for (int64_t b = 0; b < s.batch; ++b) {
      AttentionShape one = s;
      one.batch = 1;
      Doubles queries(static_cast<size_t>((s.tokens - 1) * dim));
      queries.insert(queries.end(), q.begin() + b * dim, q.begin() + (b + 1) * dim);
      const auto cut = [&](const Floats& cache) {
        const auto from = cache.begin() + b * capacity * kv_dim;
        return Doubles(from, from + s.tokens * kv_dim);
      };
      const Doubles all = NaiveAttention(one, queries, cut(k), cut(v));
      expected.insert(expected.end(), all.end() - dim, all.end());
    }
    report.Near(out.Get(), expected, 5e-6, "length " + std::to_string(s.tokens));
  }
}

}  // namespace

std::vector<Case> DecodeAttentionCases() {
  return {Case{"AttentionLargeBackward", LargeBackward}, Case{"DecodeAttention", DecodeSteps}};
}

}  // namespace signum::ops
