#include "gpu/ops/attention.h"

#include "tests/gpu/ops/cases.h"
#include "tests/gpu/ops/naive_attention.h"

namespace signum::ops {
namespace {

std::string Name(const AttentionShape& s) {
  return "batch " + std::to_string(s.batch) + " tokens " + std::to_string(s.tokens) + " heads " +
         std::to_string(s.heads) + "/" + std::to_string(s.kv_heads) + " dim " +
         std::to_string(s.head_dim) + " window " + std::to_string(s.window);
}

int64_t QSize(const AttentionShape& s) { return s.batch * s.tokens * s.heads * s.head_dim; }
int64_t KvSize(const AttentionShape& s) { return s.batch * s.tokens * s.kv_heads * s.head_dim; }

void Forward(Backend& backend, Report& report) {
  std::mt19937 random(1);
  for (const AttentionShape& s :
       {AttentionShape{1, 1, 1, 1, 4, 0}, AttentionShape{2, 7, 4, 2, 8, 0},
        AttentionShape{1, 33, 6, 2, 20, 5}, AttentionShape{3, 32, 2, 2, 64, 1},
        AttentionShape{1, 100, 4, 1, 128, 40}, AttentionShape{1, 65, 3, 3, 33, 100},
        AttentionShape{1, 70, 2, 1, 256, 0}}) {
    const Floats q = RandomFloats(random, QSize(s), 2);
    const Floats k = RandomFloats(random, KvSize(s), 2);
    const Floats v = RandomFloats(random, KvSize(s));
    const OnDevice<float> on_q(backend, q);
    const OnDevice<float> on_k(backend, k);
    const OnDevice<float> on_v(backend, v);
    const OnDevice<float> out(backend, q.size());
    backend.Attention({s, on_q.data(), on_k.data(), on_v.data(), out.data()});
    report.Near(out.Get(), NaiveAttention(s, ToDoubles(q), ToDoubles(k), ToDoubles(v)), 5e-6,
                Name(s));
  }
}

// Scores far beyond exp's range must not overflow.
void LargeScores(Backend& backend, Report& report) {
  std::mt19937 random(2);
  const AttentionShape s{1, 40, 2, 1, 16, 0};
  const Floats q = RandomFloats(random, QSize(s), 40);
  const Floats k = RandomFloats(random, KvSize(s), 4);
  const Floats v = RandomFloats(random, KvSize(s));
  const OnDevice<float> on_q(backend, q);
  const OnDevice<float> on_k(backend, k);
  const OnDevice<float> on_v(backend, v);
  const OnDevice<float> out(backend, q.size());
  backend.Attention({s, on_q.data(), on_k.data(), on_v.data(), out.data()});
  report.Near(out.Get(), NaiveAttention(s, ToDoubles(q), ToDoubles(k), ToDoubles(v)), 1e-4,
              "large scores");
}

void Backward(Backend& backend, Report& report) {
  std::mt19937 random(3);
  for (const AttentionShape& s :
       {AttentionShape{2, 6, 4, 2, 4, 0}, AttentionShape{1, 9, 3, 1, 5, 4},
        AttentionShape{1, 35, 2, 2, 3, 0}, AttentionShape{1, 40, 2, 1, 2, 33}}) {
    const Floats q = RandomFloats(random, QSize(s));
    const Floats k = RandomFloats(random, KvSize(s));
    const Floats v = RandomFloats(random, KvSize(s));
    const Floats dout = RandomFloats(random, QSize(s));
    const Doubles wq = ToDoubles(q);
    const Doubles wk = ToDoubles(k);
    const Doubles wv = ToDoubles(v);
    const Doubles wd = ToDoubles(dout);
    const OnDevice<float> on_q(backend, q);
    const OnDevice<float> on_k(backend, k);
    const OnDevice<float> on_v(backend, v);
    const OnDevice<float> on_d(backend, dout);
    const OnDevice<float> dq(backend, q.size());
    const OnDevice<float> dk(backend, k.size());
    const OnDevice<float> dv(backend, v.size());
    backend.AttentionBackward(
        {s, on_q.data(), on_k.data(), on_v.data(), on_d.data(), dq.data(), dk.data(), dv.data()});
    const auto loss = [&](const Doubles& a, const Doubles& b, const Doubles& c) {
      return Inner(NaiveAttention(s, a, b, c), wd);
    };
    report.Near(dq.Get(), Numeric([&](const Doubles& at) { return loss(at, wk, wv); }, wq), 1e-5,
                "dq, " + Name(s));
    report.Near(dk.Get(), Numeric([&](const Doubles& at) { return loss(wq, at, wv); }, wk), 1e-5,
                "dk, " + Name(s));
    report.Near(dv.Get(), Numeric([&](const Doubles& at) { return loss(wq, wk, at); }, wv), 1e-5,
                "dv, " + Name(s));
  }
}

}  // namespace

std::vector<Case> AttentionCases() {
  return {Case{"AttentionForward", Forward}, Case{"AttentionLargeScores", LargeScores},
          Case{"AttentionBackward", Backward}};
}

}  // namespace signum::ops
