#include "gpu/distill/feedback_signs.h"

#include <gtest/gtest.h>

#include <cmath>

#include "gpu/distill/inverse_factor.h"
#include "gpu/kernels/element.h"
#include "gpu/kernels/scalar.h"
#include "tests/gpu/codec_support.h"

namespace signum {
namespace {

constexpr size_t kRows = 5;

// A problem whose inputs are correlated, as activations are.
struct Problem {
  explicit Problem(size_t n) : columns(n), delta(RandomValues(kRows * n, 1, 1)), moment(n * n) {
    const std::vector<float> noise = RandomValues(4 * n * n, 2, 1);
    for (size_t r = 0; r < 4 * n; ++r) {
      std::vector<float> x(n);
      for (size_t j = 0; j < n; ++j) {
        x[j] = noise[r * n + j] + 2 * noise[r * n] + (j > 0 ? noise[r * n + j - 1] : 0);
      }
      for (size_t i = 0; i < n; ++i) {
        for (size_t j = 0; j < n; ++j) moment[i * n + j] += x[i] * x[j];
      }
    }
    double trace = 0;
    for (size_t i = 0; i < n; ++i) trace += double{moment[i * n + i]};
    factor = *InverseFactor(moment, static_cast<int64_t>(n), trace / static_cast<double>(n));
    for (size_t r = 0; r < kRows; ++r) {
      float sum = 0;
      for (size_t j = 0; j < n; ++j) sum += std::abs(delta[r * n + j]);
      row_scale.push_back(sum / static_cast<float>(n));
    }
  }

  // What ChooseSigns gives.
  void Choose(const uint8_t* mask) {
    sign.assign(kRows * kernels::BitBytes(columns), 0xff);
    with_delta.resize(kRows);
    with_self.resize(kRows);
    FeedbackSigns args;
    args.delta = delta.data();
    args.factor = factor.data();
    args.moment = moment.data();
    args.row_scale = row_scale.data();
    args.mask = mask;
    args.sign = sign.data();
    args.with_delta = with_delta.data();
    args.with_self = with_self.data();
    args.rows = kRows;
    args.columns = static_cast<int64_t>(columns);
    ChooseSigns(args);
  }

  bool Sign(size_t row, size_t column) const {
    return kernels::TestBit(sign.data() + row * kernels::BitBytes(columns), column);
  }
  // (Δ - s b) H (Δ - s b)ᵀ of a row.
  double OutputError(size_t row, double scale, const std::vector<float>& b) const {
    double error = 0;
    for (size_t i = 0; i < columns; ++i) {
      for (size_t j = 0; j < columns; ++j) {
        error += (double{delta[row * columns + i]} - scale * double{b[i]}) *
                 double{moment[i * columns + j]} *
                 (double{delta[row * columns + j]} - scale * double{b[j]});
      }
    }
    return error;
  }

  size_t columns;
  std::vector<float> delta, moment, factor, row_scale;
  std::vector<uint8_t> sign;
  std::vector<double> with_delta, with_self;
};

class FeedbackSignsSizes : public testing::TestWithParam<size_t> {};

// The algorithm as the paper writes it, a weight at a time in double.
TEST_P(FeedbackSignsSizes, AreThoseOfThePlainAlgorithm) {
  Problem problem(GetParam());
  problem.Choose(nullptr);
  const size_t n = problem.columns;
  size_t different = 0;
  for (size_t r = 0; r < kRows; ++r) {
    std::vector<double> w(problem.delta.begin() + static_cast<ptrdiff_t>(r * n),
                          problem.delta.begin() + static_cast<ptrdiff_t>((r + 1) * n));
    for (size_t j = 0; j < n; ++j) {
      different += problem.Sign(r, j) != (w[j] > 0) ? 1 : 0;
      const double b = problem.Sign(r, j) ? 1 : -1;
      const double error =
          (w[j] - double{problem.row_scale[r]} * b) / double{problem.factor[j * n + j]};
      for (size_t k = j + 1; k < n; ++k) w[k] -= error * double{problem.factor[j * n + k]};
    }
  }
  EXPECT_EQ(different, 0U);
}

TEST_P(FeedbackSignsSizes, LeaveLessOutputErrorThanPlainSigns) {
  Problem problem(GetParam());
  problem.Choose(nullptr);
  double plain = 0;
  double chosen = 0;
  for (size_t r = 0; r < kRows; ++r) {
    std::vector<float> signs(problem.columns);
    std::vector<float> best(problem.columns);
    for (size_t j = 0; j < problem.columns; ++j) {
      signs[j] = problem.delta[r * problem.columns + j] > 0 ? 1.0F : -1.0F;
      best[j] = problem.Sign(r, j) ? 1.0F : -1.0F;
    }
    plain += problem.OutputError(r, double{problem.row_scale[r]}, signs);
    chosen += problem.OutputError(r, problem.with_delta[r] / problem.with_self[r], best);
  }
  EXPECT_LT(chosen, 0.8 * plain);
}

INSTANTIATE_TEST_SUITE_P(Ragged, FeedbackSignsSizes, testing::Values(24, 64, 100, 129));

TEST(FeedbackSigns, LeaveMaskedWeightsWithoutASign) {
  Problem problem(40);
  std::vector<uint8_t> mask(kRows * kernels::BitBytes(40), 0b01010101);
  problem.Choose(mask.data());
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t j = 1; j < 40; j += 2) EXPECT_FALSE(problem.Sign(r, j)) << r << " " << j;
  }
}

}  // namespace
}  // namespace signum
