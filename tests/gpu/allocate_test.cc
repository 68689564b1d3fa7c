#include "gpu/allocate.h"

#include <gtest/gtest.h>

#include "tests/support/result_matchers.h"

namespace signum {
namespace {

using Options = std::vector<std::vector<Cost>>;

TEST(Allocate, TakesTheSteepestStepsThatFit) {
  const Options options = {{{10, 100}, {20, 50}, {30, 40}}, {{10, 30}, {20, 5}}};
  EXPECT_EQ(Allocate(options, 20).value(), (std::vector<size_t>{0, 0}));
  EXPECT_EQ(Allocate(options, 29).value(), (std::vector<size_t>{0, 0}));
  EXPECT_EQ(Allocate(options, 30).value(), (std::vector<size_t>{1, 0}));
  EXPECT_EQ(Allocate(options, 45).value(), (std::vector<size_t>{1, 1}));
  EXPECT_EQ(Allocate(options, 1000).value(), (std::vector<size_t>{2, 1}));
  EXPECT_THAT(Allocate(options, 19), FailsWith(Errc::kUnusable, "budget_too_small", "20 bytes"));
}

// A small step that gains little is passed over where a larger one gains more a byte.
TEST(Allocate, StepsLieOnTheHull) {
  const Options options = {{{0, 100}, {10, 95}, {20, 10}, {15, 200}}};
  EXPECT_EQ(Allocate(options, 15).value(), (std::vector<size_t>{0}));
  EXPECT_EQ(Allocate(options, 20).value(), (std::vector<size_t>{2}));
}

TEST(Allocate, ALargeStepThatDoesNotFitDoesNotStopTheOthers) {
  const Options options = {{{0, 1000}, {100, 0}}, {{0, 10}, {10, 1}}};
  EXPECT_EQ(Allocate(options, 50).value(), (std::vector<size_t>{0, 1}));
}

TEST(Allocate, PrefersTheSmallerOfEqualErrors) {
  const Options options = {{{50, 0}, {20, 0}}, {{5, 0}}};
  EXPECT_EQ(Allocate(options, 1000).value(), (std::vector<size_t>{1, 0}));
  EXPECT_EQ(Allocate({}, 0).value(), std::vector<size_t>());
}

}  // namespace
}  // namespace signum
