#include "gpu/serve/block_pool.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

namespace signum {
namespace {

std::vector<int32_t> Count(int32_t first, size_t n) {
  std::vector<int32_t> out(n);
  std::iota(out.begin(), out.end(), first);
  return out;
}

TEST(BlockPool, GivesEachBlockOnceAndNoMoreThanThereAre) {
  BlockPool pool(3, 4);
  std::set<int32_t> taken;
  for (int i = 0; i < 3; ++i) taken.insert(*pool.Take());
  EXPECT_EQ(taken.size(), 3U);
  EXPECT_FALSE(pool.Take().has_value());
  EXPECT_EQ(pool.used(), 3);
  pool.Release(1);
  EXPECT_EQ(pool.Take(), 1);
}

TEST(BlockPool, AKeptBlockIsFoundUntilItsPlaceIsNeeded) {
  BlockPool pool(2, 4);
  const Digest a = Sha256::Of(AsBytes("a"));
  const Digest b = Sha256::Of(AsBytes("b"));
  const int32_t first = *pool.Take();
  const int32_t second = *pool.Take();
  pool.Keep(first, a);
  pool.Keep(second, b);
  pool.Release(first);
  pool.Release(second);
  EXPECT_EQ(pool.available(), 2);
  EXPECT_EQ(pool.Share(a), first);  // used again: the other one is now the longest unused
  pool.Release(first);
  EXPECT_EQ(pool.Take(), second);
  EXPECT_FALSE(pool.Share(b).has_value());
  EXPECT_EQ(pool.Share(a), first);
}

TEST(SequenceBlocks, APromptFindsItsBeginning) {
  BlockPool pool(16, 4);
  {
    SequenceBlocks first(pool, "delta");
    EXPECT_EQ(first.Begin(Count(0, 10), 12), 0);
    EXPECT_EQ(first.table().size(), 3U);
    first.Filled(Count(0, 10));
  }
  EXPECT_EQ(pool.used(), 0);
  SequenceBlocks again(pool, "delta");
  EXPECT_EQ(again.Begin(Count(0, 10), 12), 8);
  SequenceBlocks longer(pool, "delta");
  EXPECT_EQ(longer.Begin(Count(0, 14), 14), 8);
  EXPECT_EQ(longer.table()[0], again.table()[0]);  // in both at once
  EXPECT_NE(longer.table()[2], again.table()[2]);
  SequenceBlocks other(pool, "delta");
  EXPECT_EQ(other.Begin(Count(1, 10), 12), 0);
}

TEST(SequenceBlocks, AnotherGenerationNeverSharesThem) {
  BlockPool pool(16, 4);
  SequenceBlocks first(pool, "sha256:old");
  first.Begin(Count(0, 10), 12);
  first.Filled(Count(0, 10));
  SequenceBlocks second(pool, "sha256:new");
  EXPECT_EQ(second.Begin(Count(0, 10), 12), 0);
}

TEST(SequenceBlocks, TheLastTokenIsAlwaysComputed) {
  BlockPool pool(16, 4);
  SequenceBlocks first(pool, "delta");
  first.Begin(Count(0, 8), 8);
  first.Filled(Count(0, 8));
  SequenceBlocks again(pool, "delta");
  EXPECT_EQ(again.Begin(Count(0, 8), 8), 4);
}

TEST(SequenceBlocks, TakesNothingWhereThereAreTooFew) {
  BlockPool pool(4, 4);
  SequenceBlocks first(pool, "delta");
  ASSERT_EQ(first.Begin(Count(0, 8), 8), 0);
  first.Filled(Count(0, 8));
  SequenceBlocks second(pool, "delta");
  EXPECT_FALSE(second.Begin(Count(0, 8), 20).has_value());
  EXPECT_EQ(pool.used(), 2);
  EXPECT_EQ(second.Begin(Count(0, 8), 12), 4);  // as if it had not tried
}

TEST(SequenceBlocks, GrowsAsFarAsThereAreBlocks) {
  BlockPool pool(4, 4);
  SequenceBlocks first(pool, "delta");
  ASSERT_EQ(first.Begin(Count(0, 5), 5), 0);
  EXPECT_TRUE(first.Grow(8));
  EXPECT_EQ(first.table().size(), 2U);
  EXPECT_TRUE(first.Grow(9));
  EXPECT_EQ(first.table().size(), 3U);
  SequenceBlocks second(pool, "delta");
  ASSERT_EQ(second.Begin(Count(0, 3), 3), 0);
  EXPECT_FALSE(first.Grow(13));
  EXPECT_EQ(first.table().size(), 3U);
}

}  // namespace
}  // namespace signum
