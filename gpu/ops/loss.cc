#include "gpu/ops/loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "gpu/ops/exp.h"

namespace signum::ops {
namespace {

constexpr int64_t kBlock = 1024;  // float32 sums of a block are added in double

// log Σ exp(z).
double LogSumExp(const float* z, int64_t n) {
  const float most = *std::max_element(z, z + n);
  double sum = 0;
  for (int64_t first = 0; first < n; first += kBlock) {
    float block = 0;
    const int64_t end = std::min(n, first + kBlock);
    for (int64_t i = first; i < end; ++i) block += Exp(z[i] - most);
    sum += double{block};
  }
  return double{most} + std::log(sum);
}

double SquaredDistance(const float* z, const float* t, int64_t n) {
  double sum = 0;
  for (int64_t first = 0; first < n; first += kBlock) {
    float block = 0;
    const int64_t end = std::min(n, first + kBlock);
    for (int64_t i = first; i < end; ++i) block += (z[i] - t[i]) * (z[i] - t[i]);
    sum += double{block};
  }
  return sum;
}

// Σ softmax(t)_i ((t_i - log_t) - (z_i - log_z)).
double Kl(const float* z, const float* t, int64_t n, double log_z, double log_t) {
  const auto lt = static_cast<float>(log_t);
  double sum = 0;
  for (int64_t first = 0; first < n; first += kBlock) {
    float block = 0;
    const int64_t end = std::min(n, first + kBlock);
    for (int64_t i = first; i < end; ++i) block += Exp(t[i] - lt) * (t[i] - z[i]);
    sum += double{block};
  }
  return sum - (log_t - log_z);
}

double MseRow(float* z, const float* t, int64_t n, float scale) {
  const double sum = SquaredDistance(z, t, n);
  for (int64_t i = 0; i < n; ++i) z[i] = (z[i] - t[i]) * scale;
  return sum;
}

double KlRow(float* z, const float* t, int64_t n, float scale) {
  const double log_z = LogSumExp(z, n);
  const double log_t = LogSumExp(t, n);
  const double kl = Kl(z, t, n, log_z, log_t);
  const auto lz = static_cast<float>(log_z);
  const auto lt = static_cast<float>(log_t);
  for (int64_t i = 0; i < n; ++i) z[i] = (Exp(z[i] - lz) - Exp(t[i] - lt)) * scale;
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
    const double log_z = LogSumExp(z, n);
    const double log_t = LogSumExp(t, n);
    RowFidelity& out = args.out[r];
    out.squared = SquaredDistance(z, t, n);
    out.kl = Kl(z, t, n, log_z, log_t);
    out.nll = log_z - double{z[args.targets[r]]};
    out.teacher_nll = log_t - double{t[args.targets[r]]};
    out.same_top = Top(z, n) == Top(t, n);
  }
}

void NegativeLogLikelihood(const NllArgs& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* z = args.logits + r * args.vocabulary;
    const int32_t target = args.targets[r];
    const bool known = target >= 0 && target < args.vocabulary;
    args.out[r] = known ? LogSumExp(z, args.vocabulary) - double{z[target]}
                        : std::numeric_limits<double>::infinity();
  }
}

}  // namespace signum::ops
