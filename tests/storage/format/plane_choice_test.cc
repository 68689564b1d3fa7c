#include "storage/format/plane_choice.h"

#include <gtest/gtest.h>

#include <random>

namespace signum {
namespace {

constexpr size_t kCount = 20'000;
constexpr NumberLayout kShorts{NumberKind::kInteger, 2};

class PlaneChoiceTest : public testing::Test {
 protected:
  // The choice for numbers that differ from zero by what `difference(i)` says.
  PlaneChoice Choose(const NumberLayout& layout, size_t count, auto difference) {
    std::vector<std::byte> fine(count * layout.width), base(fine.size());
    for (size_t i = 0; i < count; ++i) {
      const auto value = static_cast<int64_t>(difference(i));
      std::memcpy(&fine[i * layout.width], &value, layout.width);
    }
    return ChoosePlanes(layout, fine.data(), base.data(), count);
  }

  std::mt19937_64 random_{3};
  std::normal_distribution<> normal_;
};

TEST_F(PlaneChoiceTest, NoiseIsKeptAsItIs) {
  const PlaneChoice choice = Choose(kShorts, kCount, [&](size_t) { return random_(); });
  EXPECT_EQ(choice.shift, 0);
  EXPECT_EQ(choice.coding[0], PlaneCoding::kRaw);
  EXPECT_EQ(choice.coding[1], PlaneCoding::kRaw);
}

TEST_F(PlaneChoiceTest, WhatTrainingMovedIsNotSearchedForRepetitions) {
  const PlaneChoice choice = Choose(kShorts, kCount, [&](size_t) { return 12 * normal_(random_); });
  EXPECT_EQ(choice.coding[0], PlaneCoding::kLiterals);
  EXPECT_EQ(choice.coding[1], PlaneCoding::kMatches);  // hardly anything but zeros
}

TEST_F(PlaneChoiceTest, UnchangedRowsAreRepetitions) {
  const PlaneChoice choice = Choose(
      kShorts, kCount, [&](size_t i) { return i / 1000 % 2 == 0 ? 0 : 40 * normal_(random_); });
  EXPECT_EQ(choice.coding[0], PlaneCoding::kMatches);
}

TEST_F(PlaneChoiceTest, LowBitsThatAreNoiseAreMovedOut) {
  // What is left then fits one plane, nearly always.
  const PlaneChoice choice =
      Choose(kShorts, kCount, [&](size_t) { return 100 * normal_(random_); });
  EXPECT_GT(choice.shift, 0);
}

TEST_F(PlaneChoiceTest, TakesAnyCountAndWidth) {
  for (const uint8_t width : {1, 2, 4, 8}) {
    for (const size_t count : {0, 1, 63, 64, 65, 4095, 4097}) {
      Choose({NumberKind::kFloat, width}, count, [&](size_t) { return random_(); });
      EXPECT_EQ(Choose({NumberKind::kFloat, width}, count, [](size_t) { return 0; }).shift, 0);
    }
  }
}

}  // namespace
}  // namespace signum
