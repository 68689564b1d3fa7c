#include "gpu/ops/loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "gpu/ops/exp.h"

namespace signum::ops {
namespace {

// softmax(z)_i = Exp(z_i - most) / sum, with the same Exp in both, so that what it errs by cancels.
struct Softmax {
  float most = 0;
  double sum = 0;

  double Log() const { return double{most} + std::log(sum); }  // log Σ exp(z)
};

Softmax MakeSoftmax(const float* z, int64_t n) {
  Softmax out;
  out.most = *std::max_element(z, z + n);
  for (int64_t i = 0; i < n; ++i) out.sum += double{Exp(z[i] - out.most)};
  return out;
}

double SquaredDistance(const float* z, const float* t, int64_t n) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double distance = double{z[i]} - double{t[i]};
    sum += distance * distance;
  }
  return sum;
}

// Σ softmax(t)_i ((t_i - log_t) - (z_i - log_z)).
double Kl(const float* z, const float* t, int64_t n, const Softmax& of_z, const Softmax& of_t) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    sum += double{Exp(t[i] - of_t.most)} * (double{t[i]} - double{z[i]});
  }
  return sum / of_t.sum - (of_t.Log() - of_z.Log());
}

double MseRow(float* z, const float* t, int64_t n, float scale) {
  const double sum = SquaredDistance(z, t, n);
  for (int64_t i = 0; i < n; ++i) z[i] = (z[i] - t[i]) * scale;
  return sum;
}

double KlRow(float* z, const float* t, int64_t n, float scale) {
  const Softmax of_z = MakeSoftmax(z, n);
  const Softmax of_t = MakeSoftmax(t, n);
  const double kl = Kl(z, t, n, of_z, of_t);
  const auto z_share = static_cast<float>(1 / of_z.sum);
  const auto t_share = static_cast<float>(1 / of_t.sum);
  for (int64_t i = 0; i < n; ++i) {
    z[i] = (Exp(z[i] - of_z.most) * z_share - Exp(t[i] - of_t.most) * t_share) * scale;
  }
  return kl;
}

int64_t Top(const float* z, int64_t n) { return std::max_element(z, z + n) - z; }

}  // namespace

void LossAndGrad(const LossArgs& args) {
  const double rows = static_cast<double>(args.total_rows);
  const auto mse_scale = static_cast<float>(2.0 / (rows * static_cast<double>(args.vocabulary)));
  const auto kl_scale = static_cast<float>(1.0 / rows);
  for (int64_t r = 0; r < args.rows; ++r) {
    float* z = args.student + r * args.vocabulary;
    const float* t = args.teacher + r * args.vocabulary;
    args.sums[r] = args.loss == Loss::kMse ? MseRow(z, t, args.vocabulary, mse_scale)
                                           : KlRow(z, t, args.vocabulary, kl_scale);
  }
}

void CompareLogits(const FidelityArgs& args) {
  const int64_t n = args.vocabulary;
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* z = args.student + r * n;
    const float* t = args.teacher + r * n;
    const Softmax of_z = MakeSoftmax(z, n);
    const Softmax of_t = MakeSoftmax(t, n);
    RowFidelity& out = args.out[r];
    out.squared = SquaredDistance(z, t, n);
    out.kl = Kl(z, t, n, of_z, of_t);
    out.nll = of_z.Log() - double{z[args.targets[r]]};
    out.teacher_nll = of_t.Log() - double{t[args.targets[r]]};
    out.same_top = Top(z, n) == Top(t, n);
  }
}

void NegativeLogLikelihood(const NllArgs& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* z = args.logits + r * args.vocabulary;
    const int32_t target = args.targets[r];
    const bool known = target >= 0 && target < args.vocabulary;
    args.out[r] = known ? MakeSoftmax(z, args.vocabulary).Log() - double{z[target]}
                        : std::numeric_limits<double>::infinity();
  }
}

}  // namespace signum::ops
