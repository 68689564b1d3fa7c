// Codec and planes by error per byte.

#include <gtest/gtest.h>

#include <cmath>

#include "tests/gpu/codec_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

CompressOptions Ratio(double ratio) {
  CompressOptions options;
  options.budget_ratio = ratio;
  return options;
}

TEST(Budget, MoreBytesLeaveLessErrorAndAreKeptTo) {
  const TestCheckpoint base = OpenTiny("base");
  const TestCheckpoint fine = OpenTiny("kjv");
  const double upload = static_cast<double>(fine.hashed.recipe.TotalBytes());
  double before = HUGE_VAL;
  for (double ratio : {30.0, 14.0, 8.0, 4.0, 2.5, 1.0}) {
    const TempDir dir;
    const TestDelta delta = MakeDelta(base, fine, Ratio(ratio), dir);
    const auto size = static_cast<double>(delta.summary.sealed.size);
    EXPECT_LE(size, upload / ratio);
    EXPECT_LT(delta.summary.squared_error, before) << ratio;
    if (ratio > 1) {
      EXPECT_GT(size, 0.9 * upload / ratio) << ratio;  // and made use of
    }
    before = delta.summary.squared_error;
    EXPECT_THAT(delta.reader->CheckContents(), Ok());
  }
  EXPECT_EQ(before, 0);  // room for everything
}

// The error that was measured is the error of what is rebuilt.
TEST(Budget, ErrorIsThatOfTheRebuiltWeights) {
  const TestCheckpoint base = OpenTiny("base");
  const TestCheckpoint fine = OpenTiny("sqlite");
  const TempDir dir;
  const TestDelta delta = MakeDelta(base, fine, Ratio(5), dir);
  const auto rebuilder = OpenRebuilder(base, delta);
  double error = 0;
  for (size_t t = 0; t < fine.checkpoint->tensors().size(); ++t) {
    const TensorInfo& info = fine.checkpoint->tensors()[t];
    const auto got = Values(info, AsBytes(ReadWhole(**rebuilder->OpenTensor(info.name))));
    const auto wanted = Values(info, AsBytes(ReadWhole(**fine.checkpoint->Open(t))));
    for (size_t i = 0; i < got.size(); ++i) {
      error += std::pow(static_cast<double>(got[i]) - static_cast<double>(wanted[i]), 2);
    }
  }
  EXPECT_NEAR(delta.summary.squared_error, error, 1e-4 * error);
}

// As large as with two planes everywhere, a choice leaves no more error.
TEST(Budget, BeatsOneNumberOfPlanesForAll) {
  const TestCheckpoint base = OpenTiny("base");
  const TestCheckpoint fine = OpenTiny("pysrc");
  const TempDir dir;
  CompressOptions two;
  two.planes = 2;
  const TestDelta fixed = MakeDelta(base, fine, two, dir);
  CompressOptions options;
  options.budget_bytes = fixed.summary.sealed.size;
  const TestDelta chosen = MakeDelta(base, fine, options, dir);
  EXPECT_LE(chosen.summary.sealed.size, fixed.summary.sealed.size);
  EXPECT_GT(chosen.summary.choices.size(), 1U);
}

TEST(Budget, WrongOnesAreRefused) {
  const TestCheckpoint base = OpenTiny("base");
  const TestCheckpoint fine = OpenTiny("kjv");
  const TempDir dir;
  CompressOptions options;
  options.budget_bytes = 1000;
  EXPECT_THAT(Compress(base, fine, options, dir / "a"),
              FailsWith(Errc::kUnusable, "budget_too_small", "at least"));
  options.budget_ratio = 3;
  EXPECT_THAT(Compress(base, fine, options, dir / "a"),
              FailsWith(Errc::kInvalid, "bad_budget", ""));
  EXPECT_THAT(Compress(base, fine, Ratio(0.5), dir / "a"),
              FailsWith(Errc::kInvalid, "bad_budget", ""));
  options = Ratio(4);
  options.planes = 2;
  EXPECT_THAT(Compress(base, fine, options, dir / "a"),
              FailsWith(Errc::kInvalid, "bad_budget", "beside"));
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
}

}  // namespace
}  // namespace signum
