#include "gpu/ops/loss.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/gpu/ops/cases.h"

namespace signum::ops {
namespace {

struct Row {
  const double* data;
  size_t n;
};

double LogSum(Row z) {
  const double most = *std::max_element(z.data, z.data + z.n);
  double sum = 0;
  for (size_t i = 0; i < z.n; ++i) sum += std::exp(z.data[i] - most);
  return most + std::log(sum);
}

double Squared(Row z, Row t) {
  double sum = 0;
  for (size_t i = 0; i < z.n; ++i) sum += (z.data[i] - t.data[i]) * (z.data[i] - t.data[i]);
  return sum;
}

double Divergence(Row z, Row t) {
  const double log_z = LogSum(z);
  const double log_t = LogSum(t);
  double sum = 0;
  for (size_t i = 0; i < z.n; ++i) {
    sum += std::exp(t.data[i] - log_t) * ((t.data[i] - log_t) - (z.data[i] - log_z));
  }
  return sum;
}

double RowLoss(Loss loss, Row z, Row t) {
  return loss == Loss::kMse ? Squared(z, t) : Divergence(z, t);
}

// Sums of each row, and the gradient of rows / total_rows of the mean.
void LossGradient(Backend& backend, Report& report, Loss loss, int64_t rows, int64_t vocabulary) {
  std::mt19937 random(static_cast<unsigned>(vocabulary));
  const Floats student = RandomFloats(random, rows * vocabulary, 2);
  const Floats teacher = RandomFloats(random, rows * vocabulary, 2);
  const int64_t total = rows + 3;
  const auto n = static_cast<size_t>(vocabulary);
  const Doubles t = ToDoubles(teacher);
  const OnDevice<float> z(backend, student);
  const OnDevice<float> on_t(backend, teacher);
  const OnDevice<double> sums(backend, static_cast<size_t>(rows));
  backend.LossAndGrad({loss, z.data(), on_t.data(), sums.data(), rows, vocabulary, total});
  const auto share = [&](const Doubles& at) {
    double sum = 0;
    for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
      sum += RowLoss(loss, {at.data() + r * n, n}, {t.data() + r * n, n});
    }
    const double mean = sum / static_cast<double>(total);
    return loss == Loss::kMse ? mean / static_cast<double>(vocabulary) : mean;
  };
  const std::string what = (loss == Loss::kMse ? "mse " : "kl ") + std::to_string(vocabulary);
  const Doubles s = ToDoubles(student);
  report.Near(z.Get(), Numeric(share, s), 1e-5, what + ", gradient");
  const Doubles got = sums.Get();
  for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
    const double expected = RowLoss(loss, {s.data() + r * n, n}, {t.data() + r * n, n});
    report.Close(got[r], expected, 3e-7, what + ", sum of row " + std::to_string(r));
  }
}

void Gradients(Backend& backend, Report& report) {
  for (const Loss loss : {Loss::kMse, Loss::kKl}) {
    for (const int64_t vocabulary : {1, 2, 33, 257}) {
      LossGradient(backend, report, loss, 3, vocabulary);
    }
  }
}

void Fidelity(Backend& backend, Report& report) {
  std::mt19937 random(1);
  for (const int64_t vocabulary : {1, 50, 1024, 3001}) {
    const int64_t rows = 5;
    const auto n = static_cast<size_t>(vocabulary);
    Floats student = RandomFloats(random, rows * vocabulary, 3);
    const Floats teacher = RandomFloats(random, rows * vocabulary, 3);
    std::copy_n(teacher.begin(), n, student.begin());  // row 0: equal
    std::vector<int32_t> targets;
    for (int64_t r = 0; r < rows; ++r) targets.push_back(static_cast<int32_t>(random() % n));
    const OnDevice<float> on_z(backend, student);
    const OnDevice<float> on_t(backend, teacher);
    const OnDevice<int32_t> on_targets(backend, targets);
    const OnDevice<RowFidelity> out(backend, std::vector<RowFidelity>(static_cast<size_t>(rows)));
    backend.CompareLogits(
        {on_z.data(), on_t.data(), on_targets.data(), out.data(), rows, vocabulary});
    const Doubles z = ToDoubles(student);
    const Doubles t = ToDoubles(teacher);
    const std::vector<RowFidelity> got = out.Get();
    for (size_t r = 0; r < static_cast<size_t>(rows); ++r) {
      const Row zr{z.data() + r * n, n};
      const Row tr{t.data() + r * n, n};
      const auto target = static_cast<size_t>(targets[r]);
      const std::string what = "row " + std::to_string(r) + " of " + std::to_string(vocabulary);
      report.Close(got[r].squared, Squared(zr, tr), 1e-12, what + ", squared");
      report.Close(got[r].kl, Divergence(zr, tr), 3e-7, what + ", kl");
      report.Close(got[r].nll, LogSum(zr) - zr.data[target], 3e-7, what + ", nll");
      report.Close(got[r].teacher_nll, LogSum(tr) - tr.data[target], 3e-7, what + ", teacher");
      const bool same = std::max_element(zr.data, zr.data + n) - zr.data ==
                        std::max_element(tr.data, tr.data + n) - tr.data;
      report.True(got[r].same_top == same, what + ", same top");
    }
  }
}

void FirstOfEqualsIsTheTop(Backend& backend, Report& report) {
  const int64_t n = 700;
  Floats student(n, 0.0F);
  Floats teacher(n, 0.0F);
  student[300] = student[600] = 1;
  teacher[300] = 2;
  const OnDevice<float> z(backend, student);
  const OnDevice<float> t(backend, teacher);
  const OnDevice<int32_t> targets(backend, std::vector<int32_t>{0});
  const OnDevice<RowFidelity> out(backend, std::vector<RowFidelity>(1));
  backend.CompareLogits({z.data(), t.data(), targets.data(), out.data(), 1, n});
  report.True(out.Get()[0].same_top, "300 is the first of the largest in both");
}

void LogLikelihood(Backend& backend, Report& report) {
  std::mt19937 random(2);
  const int64_t n = 1500;
  const Floats logits = RandomFloats(random, 5 * n, 10);
  const std::vector<int32_t> targets = {0, 1499, 700, -1, 1500};
  const OnDevice<float> on_logits(backend, logits);
  const OnDevice<int32_t> on_targets(backend, targets);
  const OnDevice<double> out(backend, targets.size());
  backend.NegativeLogLikelihood({on_logits.data(), on_targets.data(), out.data(), 5, n});
  const Doubles z = ToDoubles(logits);
  const Doubles got = out.Get();
  for (size_t r = 0; r < 3; ++r) {
    const Row row{z.data() + r * n, n};
    const double expected = LogSum(row) - row.data[targets[r]];
    report.Close(got[r], expected, 3e-7, "row " + std::to_string(r));
  }
  report.True(std::isinf(got[3]) && got[3] > 0, "target -1");
  report.True(std::isinf(got[4]) && got[4] > 0, "target beyond the vocabulary");
}

}  // namespace

std::vector<Case> LossCases() {
  return {Case{"LossGradients", Gradients}, Case{"LossFidelity", Fidelity},
          Case{"LossFirstOfEqualsIsTheTop", FirstOfEqualsIsTheTop},
          Case{"LossLogLikelihood", LogLikelihood}};
}

}  // namespace signum::ops
