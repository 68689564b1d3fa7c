#include "storage/object_store.h"

#include <atomic>
#include <thread>

#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

class ObjectStoreTest : public ::testing::TestWithParam<EngineKind> {
 protected:
  EngineHolder engine_{GetParam()};
  ObjectStore objects_{*engine_};
};

TEST_P(ObjectStoreTest, KeepsSmallAndBigObjects) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{65536}, size_t{65537}, size_t{3000000}}) {
    const std::string bytes = RandomBytes(size, size + 1);
    const auto put = objects_.Put(AsBytes(bytes));
    ASSERT_THAT(put, Ok());
    EXPECT_TRUE(put->created);
    EXPECT_EQ(put->size, size);
    EXPECT_EQ(put->digest, Sha256::Of(AsBytes(bytes)));
    EXPECT_EQ(*objects_.Size(put->digest), size);
    EXPECT_TRUE(Contents(**objects_.Open(put->digest)) == bytes);
  }
  // The two that are bigger than an inline object have a blob each.
  EXPECT_EQ(engine_->ListBlobs()->size(), 2);
}

TEST_P(ObjectStoreTest, StoresEqualBytesOnce) {
  for (const size_t size : {size_t{100}, size_t{2000000}}) {
    const std::string bytes = RandomBytes(size, 1);
    EXPECT_TRUE(objects_.Put(AsBytes(bytes))->created);
    EXPECT_FALSE(objects_.Put(AsBytes(bytes))->created);
    const Digest digest = Sha256::Of(AsBytes(bytes));
    EXPECT_FALSE(objects_.Put(MemorySource(bytes), digest)->created);
    EXPECT_FALSE(objects_.Put(MemorySource(bytes), std::nullopt)->created);
  }
  EXPECT_EQ(engine_->ListBlobs()->size(), 1);
}

TEST_P(ObjectStoreTest, RefusesBytesOfAnotherDigest) {
  for (const size_t size : {size_t{100}, size_t{2000000}}) {
    const std::string bytes = RandomBytes(size, 2);
    const Digest other = Sha256::Of(AsBytes("other"));
    EXPECT_THAT(objects_.Put(MemorySource(bytes), other),
                FailsWith(Errc::kCorrupt, "digest_mismatch", other.Text()));
    EXPECT_FALSE(*objects_.Has(other));
    EXPECT_FALSE(*objects_.Has(Sha256::Of(AsBytes(bytes))));
  }
  EXPECT_TRUE(engine_->ListBlobs()->empty());
}

TEST_P(ObjectStoreTest, StopsWhenAsked) {
  const MemorySource bytes(RandomBytes(5 << 20, 3));
  uint64_t seen = 0;
  const auto put = objects_.Put(bytes, std::nullopt, [&](uint64_t done) {
    seen = done;
    return done < (2 << 20);
  });
  EXPECT_THAT(put, FailsWith(Errc::kCancelled, "cancelled", ""));
  EXPECT_EQ(seen, 2 << 20);
  EXPECT_TRUE(engine_->ListBlobs()->empty());
}

TEST_P(ObjectStoreTest, TwoWhoPutTheSameEndWithOne) {
  const std::string bytes = RandomBytes(1'500'000, 4);
  std::atomic<int> created = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        const auto put = objects_.Put(MemorySource(bytes), std::nullopt);
        EXPECT_THAT(put, Ok());
        if (put->created) ++created;
      });
    }
  }
  EXPECT_EQ(created, 1);
  EXPECT_EQ(engine_->ListBlobs()->size(), 1);
  EXPECT_TRUE(Contents(**objects_.Open(Sha256::Of(AsBytes(bytes)))) == bytes);
}

TEST_P(ObjectStoreTest, DeletesObjectsWithTheirBlobs) {
  for (const size_t size : {size_t{100}, size_t{2000000}}) {
    const Digest digest = objects_.Put(AsBytes(RandomBytes(size, 5)))->digest;
    EXPECT_THAT(objects_.Delete(digest), Ok());
    EXPECT_FALSE(*objects_.Has(digest));
    EXPECT_THAT(objects_.Open(digest), FailsWith(Errc::kNotFound, "unknown_object", digest.Hex()));
    EXPECT_THAT(objects_.Size(digest), FailsWith(Errc::kNotFound, "unknown_object", ""));
    EXPECT_THAT(objects_.Delete(digest), FailsWith(Errc::kNotFound, "unknown_object", ""));
  }
  EXPECT_TRUE(engine_->ListBlobs()->empty());
}

TEST_P(ObjectStoreTest, SaysWhenABlobIsLost) {
  const Digest digest = objects_.Put(AsBytes(RandomBytes(2000000, 6)))->digest;
  ASSERT_THAT(engine_->DeleteBlob(engine_->ListBlobs()->front()), Ok());
  EXPECT_THAT(objects_.Open(digest), FailsWith(Errc::kCorrupt, "object_damaged", digest.Hex()));
}

INSTANTIATE_TEST_SUITE_P(Engines, ObjectStoreTest, ::testing::Values(kMemory, kRocks), EngineName);

}  // namespace
}  // namespace signum
