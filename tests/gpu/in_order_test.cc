#include "gpu/in_order.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "tests/support/result_matchers.h"

namespace signum {
namespace {

TEST(InOrder, CommitsEveryPieceOnceAndInOrder) {
  for (int threads : {1, 2, 7}) {
    for (uint64_t pieces : {0U, 1U, 3U, 500U}) {
      std::vector<uint64_t> held(static_cast<size_t>(threads), 1000);
      std::vector<uint64_t> committed;
      InOrderWork work;
      work.pieces = pieces;
      work.compute = [&](size_t worker, uint64_t piece) -> Result<void> {
        held[worker] = piece;
        return {};
      };
      work.commit = [&](size_t worker, uint64_t piece) -> Result<void> {
        EXPECT_EQ(held[worker], piece);
        committed.push_back(piece);
        return {};
      };
      work.tick = [] { return Result<void>(); };
      EXPECT_THAT(RunInOrder(work, threads), Ok());
      ASSERT_EQ(committed.size(), pieces);
      for (uint64_t i = 0; i < pieces; ++i) EXPECT_EQ(committed[i], i);
    }
  }
}

TEST(InOrder, TheFirstFailingPieceIsTheError) {
  for (int threads : {1, 4}) {
    std::atomic<uint64_t> committed{0};
    InOrderWork work;
    work.pieces = 1000;
    work.compute = [&](size_t, uint64_t piece) -> Result<void> {
      if (piece >= 100) return Fail(Errc::kInternal, "bad", "piece " + std::to_string(piece) + ".");
      return {};
    };
    work.commit = [&](size_t, uint64_t) -> Result<void> {
      ++committed;
      return {};
    };
    work.tick = [] { return Result<void>(); };
    EXPECT_THAT(RunInOrder(work, threads), FailsWith(Errc::kInternal, "bad", "piece 100."));
    EXPECT_EQ(committed, 100U);
  }
}

TEST(InOrder, TickStopsIt) {
  for (int threads : {1, 4}) {
    InOrderWork work;
    work.pieces = uint64_t{1} << 60;  // would not end by itself
    work.compute = [](size_t, uint64_t) { return Result<void>(); };
    work.commit = [](size_t, uint64_t) { return Result<void>(); };
    int ticks = 0;
    work.tick = [&]() -> Result<void> {
      if (++ticks < 5) return {};
      return Fail(Errc::kCancelled, "cancelled", "enough");
    };
    EXPECT_THAT(RunInOrder(work, threads), FailsWith(Errc::kCancelled, "cancelled", "enough"));
  }
}

}  // namespace
}  // namespace signum
