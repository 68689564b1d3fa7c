#include "storage/object_store.h"

#include <atomic>
#include <thread>

#include "storage/object_record.h"
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
    EXPECT_EQ(objects_.Describe(put->digest)->size, size);
    EXPECT_EQ(objects_.Describe(put->digest)->stored_bytes, size);
    EXPECT_EQ(put->stored_bytes, size);
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
    EXPECT_THAT(objects_.Describe(digest), FailsWith(Errc::kNotFound, "unknown_object", ""));
    EXPECT_THAT(objects_.Delete(digest), FailsWith(Errc::kNotFound, "unknown_object", ""));
  }
  EXPECT_TRUE(engine_->ListBlobs()->empty());
}

TEST_P(ObjectStoreTest, SaysWhenABlobIsLost) {
  const Digest digest = objects_.Put(AsBytes(RandomBytes(2000000, 6)))->digest;
  ASSERT_THAT(engine_->DeleteBlob(engine_->ListBlobs()->front()), Ok());
  EXPECT_THAT(objects_.Open(digest), FailsWith(Errc::kCorrupt, "object_damaged", digest.Hex()));
}

// ---- encoded objects

constexpr NumberLayout kHalf{NumberKind::kFloat, 2};

// `base` with a few numbers moved.
std::string Tuned(std::string base, uint64_t seed) {
  const std::string chance = RandomBytes(base.size(), seed);
  for (size_t i = 0; i < base.size(); i += 2) {
    if (chance[i] > 100) base[i] = static_cast<char>(base[i] ^ 1);
  }
  return base;
}

Digest DigestOf(const std::string& bytes) { return Sha256::Of(AsBytes(bytes)); }

TEST_P(ObjectStoreTest, AnEncodedObjectReadsAsItsRawBytes) {
  // Of the last two, one fits a key when it is encoded, the other takes a blob.
  for (const size_t size : {size_t{100}, size_t{5000}, size_t{200'000}, size_t{3'000'000}}) {
    const std::string base = RandomBytes(size, 20), bytes = Tuned(base, 21);
    const Digest base_digest = objects_.Put(AsBytes(base))->digest;
    const size_t blobs = engine_->ListBlobs()->size();
    const auto put =
        objects_.PutEncoded(MemorySource(bytes), DigestOf(bytes), {kHalf, base_digest});
    ASSERT_THAT(put, Ok());
    EXPECT_TRUE(put->created);
    EXPECT_EQ(put->size, size);
    const auto info = *objects_.Describe(put->digest);
    EXPECT_EQ(info.size, size);
    EXPECT_EQ(info.stored_bytes, put->stored_bytes);
    if (size > 4096) {
      EXPECT_LT(info.stored_bytes, size / 4);
      EXPECT_EQ(info.base, base_digest);
    }
    EXPECT_EQ(engine_->ListBlobs()->size(), blobs + (size == 3'000'000 ? 1 : 0));
    EXPECT_TRUE(Contents(**objects_.Open(put->digest)) == bytes);
    // The same bytes again, however they come.
    EXPECT_FALSE(objects_.Put(AsBytes(bytes))->created);
    EXPECT_FALSE(
        objects_.PutEncoded(MemorySource(bytes), DigestOf(bytes), {kHalf, base_digest})->created);
    EXPECT_THAT(objects_.Delete(put->digest), Ok());
    EXPECT_EQ(engine_->ListBlobs()->size(), blobs);
  }
}

TEST_P(ObjectStoreTest, WhatEncodingDoesNotHelpIsKeptAsItIs) {
  const std::string noise = RandomBytes(1'000'000, 22);
  const auto put = objects_.PutEncoded(MemorySource(noise), DigestOf(noise), {kHalf, std::nullopt});
  ASSERT_THAT(put, Ok());
  EXPECT_EQ(put->stored_bytes, noise.size());
  EXPECT_EQ(engine_->ListBlobs()->size(), 1);
  EXPECT_TRUE(Contents(**objects_.Open(put->digest)) == noise);
}

TEST_P(ObjectStoreTest, NoObjectIsMoreThanOneStepFromItsBase) {
  const std::string first = RandomBytes(500'000, 23);
  const std::string second = Tuned(first, 24), third = Tuned(second, 25);
  const Digest root = objects_.Put(AsBytes(first))->digest;
  ASSERT_THAT(objects_.PutEncoded(MemorySource(second), DigestOf(second), {kHalf, root}), Ok());
  const auto put =
      objects_.PutEncoded(MemorySource(third), DigestOf(third), {kHalf, DigestOf(second)});
  ASSERT_THAT(put, Ok());
  EXPECT_EQ(objects_.Describe(put->digest)->base, root);
  EXPECT_TRUE(Contents(**objects_.Open(put->digest)) == third);
}

TEST_P(ObjectStoreTest, AnEncodedObjectMayBeABase) {
  const std::string zeros(500'000, '\0');
  const Digest base = DigestOf(zeros);
  ASSERT_THAT(objects_.PutEncoded(MemorySource(zeros), base, {kHalf, std::nullopt}), Ok());
  ASSERT_LT(objects_.Describe(base)->stored_bytes, 1000);
  const std::string bytes = Tuned(zeros, 26);
  const auto put = objects_.PutEncoded(MemorySource(bytes), DigestOf(bytes), {kHalf, base});
  ASSERT_THAT(put, Ok());
  EXPECT_EQ(objects_.Describe(put->digest)->base, base);
  EXPECT_TRUE(Contents(**objects_.Open(put->digest)) == bytes);
}

TEST_P(ObjectStoreTest, EncodingRefusesWhatIsNotRight) {
  const std::string base = RandomBytes(500'000, 27), bytes = Tuned(base, 28);
  const Digest other = Sha256::Of(AsBytes("other"));
  EXPECT_THAT(objects_.PutEncoded(MemorySource(bytes), DigestOf(bytes), {kHalf, other}),
              FailsWith(Errc::kNotFound, "unknown_object", other.Hex()));
  const Digest root = objects_.Put(AsBytes(base))->digest;
  const size_t blobs = engine_->ListBlobs()->size();
  EXPECT_THAT(objects_.PutEncoded(MemorySource(bytes), other, {kHalf, root}),
              FailsWith(Errc::kCorrupt, "digest_mismatch", other.Text()));
  EXPECT_THAT(objects_.PutEncoded(MemorySource(bytes), DigestOf(bytes), {kHalf, root},
                                  [](uint64_t done) { return done < 300'000; }),
              FailsWith(Errc::kCancelled, "cancelled", ""));
  EXPECT_EQ(engine_->ListBlobs()->size(), blobs);
  EXPECT_FALSE(*objects_.Has(other));
}

TEST_P(ObjectStoreTest, SaysWhenABaseIsLost) {
  const std::string base = RandomBytes(500'000, 29), bytes = Tuned(base, 30);
  const Digest root = objects_.Put(AsBytes(base))->digest;
  ASSERT_THAT(objects_.PutEncoded(MemorySource(bytes), DigestOf(bytes), {kHalf, root}), Ok());
  ASSERT_THAT(objects_.Delete(root), Ok());
  EXPECT_THAT(
      objects_.Open(DigestOf(bytes)),
      FailsWith(Errc::kCorrupt, "object_damaged", root.Text() + " is damaged: it is missing"));
}

// Damage that only digests tell: the difference does not decode, but what is wrong is its base.
TEST_P(ObjectStoreTest, AChangedBaseIsBlamedForWhatDiffersFromIt) {
  const std::string base = RandomBytes(60'000, 40), bytes = Tuned(base, 41);
  const Digest root = objects_.Put(AsBytes(base))->digest;
  ASSERT_THAT(objects_.PutEncoded(MemorySource(bytes), DigestOf(bytes), {kHalf, root}), Ok());
  std::string record = **engine_->Get(ObjectKey(root));
  record.back() = static_cast<char>(record.back() ^ 4);
  ASSERT_THAT(PutKey(*engine_, ObjectKey(root), record), Ok());
  const auto opened = objects_.Open(DigestOf(bytes));
  ASSERT_THAT(opened, Ok());
  std::string out(bytes.size(), '\0');
  EXPECT_THAT((*opened)->Read(0, {reinterpret_cast<std::byte*>(out.data()), out.size()}),
              FailsWith(Errc::kCorrupt, "object_damaged", root.Text()));
  EXPECT_FALSE(*objects_.Has(root));
  EXPECT_TRUE(*objects_.Has(DigestOf(bytes)));
  EXPECT_EQ(objects_.damaged(), 1);
  // Encoding against it is refused, and it heals without being touched itself.
  const std::string more = Tuned(base, 42);
  EXPECT_THAT(objects_.PutEncoded(MemorySource(more), DigestOf(more), {kHalf, root}),
              FailsWith(Errc::kCorrupt, "object_damaged", root.Text()));
  ASSERT_THAT(objects_.Put(AsBytes(base)), Ok());
  EXPECT_TRUE(Contents(**opened) == bytes);
  EXPECT_EQ(objects_.damaged(), 0);
}

// It may be what others are differences from, and those are one step from raw bytes.
TEST_P(ObjectStoreTest, WhatIsStoredAnewAfterDamageIsNotEncoded) {
  const std::string first = RandomBytes(200'000, 43), second = Tuned(first, 44);
  const std::string third = Tuned(second, 45);
  const Digest root = objects_.Put(AsBytes(first))->digest;
  ASSERT_THAT(objects_.Put(AsBytes(second)), Ok());
  const NumberLayout half = kHalf;
  ASSERT_THAT(objects_.PutEncoded(MemorySource(third), DigestOf(third), {half, DigestOf(second)}),
              Ok());
  ASSERT_THAT(objects_.MarkDamaged(DigestOf(second), "test"), Ok());
  ASSERT_THAT(objects_.PutEncoded(MemorySource(second), DigestOf(second), {half, root}), Ok());
  EXPECT_EQ(objects_.Describe(DigestOf(second))->stored_bytes, second.size());
  EXPECT_TRUE(Contents(**objects_.Open(DigestOf(third))) == third);
}

// As when collection took the base between two looks.
TEST_P(ObjectStoreTest, ADifferenceWithoutItsBaseIsStoredAnew) {
  const std::string base = RandomBytes(3'000'000, 46), bytes = Tuned(base, 47);
  const Digest root = objects_.Put(AsBytes(base))->digest;
  ASSERT_THAT(objects_.PutEncoded(MemorySource(bytes), DigestOf(bytes), {kHalf, root}), Ok());
  EXPECT_TRUE(*objects_.Keep(DigestOf(bytes)));
  ASSERT_THAT(objects_.Delete(root), Ok());
  EXPECT_FALSE(*objects_.Keep(DigestOf(bytes)));
  EXPECT_TRUE(objects_.Put(MemorySource(bytes), DigestOf(bytes))->created);
  EXPECT_TRUE(Contents(**objects_.Open(DigestOf(bytes))) == bytes);
  EXPECT_EQ(engine_->ListBlobs()->size(), 1);
}

TEST_P(ObjectStoreTest, EncodedObjectsOutliveARestart) {
  const std::string base = RandomBytes(2'000'000, 31), bytes = Tuned(base, 32);
  const Digest root = objects_.Put(AsBytes(base))->digest;
  ASSERT_THAT(objects_.PutEncoded(MemorySource(bytes), DigestOf(bytes), {kHalf, root}), Ok());
  engine_.Reopen();
  ObjectStore again(*engine_);
  EXPECT_TRUE(Contents(**again.Open(DigestOf(bytes))) == bytes);
}

TEST(ObjectRecord, KeepsEveryKindAndRefusesOtherBytes) {
  ObjectRecord record;
  record.size = 4;
  record.created = 1700000000000000;
  record.bytes = "abcd";
  const Digest base = Sha256::Of(AsBytes("base"));
  using Kind = ObjectRecord::Kind;
  for (const auto kind :
       {Kind::kInline, Kind::kBlob, Kind::kEncodedInline, Kind::kEncodedBlob, Kind::kDamaged}) {
    record.kind = kind;
    record.blob = kind == Kind::kInline || kind == Kind::kEncodedInline ? 0 : 7;
    record.blob_bytes = kind == Kind::kEncodedBlob || kind == Kind::kDamaged ? 3 : 0;
    record.why = record.damaged() ? "gone" : "";
    record.base = record.encoded() ? std::optional(base) : std::nullopt;
    const std::string value = record.Encode();
    const auto read = ObjectRecord::Decode(value, "key");
    ASSERT_THAT(read, Ok());
    EXPECT_EQ(read->Encode(), value);
    EXPECT_EQ(read->base, record.base);
    EXPECT_EQ(read->stored_bytes(), record.stored_bytes());
    for (size_t size = 0; size < value.size(); ++size) {
      const auto cut = ObjectRecord::Decode(std::string_view(value).substr(0, size), "key");
      // Of an encoded object in its record, any length may be right: it says itself what it is.
      // So is any reason.
      const bool open_end = kind == Kind::kEncodedInline || kind == Kind::kDamaged;
      if (open_end && size >= value.size() - 4) continue;
      EXPECT_THAT(cut, FailsWith(Errc::kCorrupt, "bad_record", "key")) << size;
    }
  }
  std::string unknown = record.Encode();
  unknown[1] = 4;
  EXPECT_THAT(ObjectRecord::Decode(unknown, "key"), FailsWith(Errc::kCorrupt, "bad_record", "key"));
}

INSTANTIATE_TEST_SUITE_P(Engines, ObjectStoreTest, ::testing::Values(kMemory, kRocks), EngineName);

}  // namespace
}  // namespace signum
