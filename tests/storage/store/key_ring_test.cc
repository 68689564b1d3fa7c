#include "storage/key_ring.h"

#include <filesystem>

#include "storage/base/file.h"
#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

class KeyRingTest : public ::testing::Test {
 protected:
  std::unique_ptr<KeyRing> Open() {
    auto ring = KeyRing::Open(*engine_, clock_, file_);
    EXPECT_THAT(ring, Ok());
    return *std::move(ring);
  }

  TempDir folder_;
  std::filesystem::path file_ = folder_.path() / "signing.key";
  std::filesystem::path next_ = folder_.path() / "signing.key.next";
  ManualClock clock_;
  EngineHolder engine_{kMemory};
};

TEST_F(KeyRingTest, MakesAKeyAndKeepsIt) {
  const std::string first = Open()->Current()->public_key().ToBase64();
  const auto ring = Open();
  EXPECT_EQ(ring->Current()->public_key().ToBase64(), first);
  const auto keys = ring->Keys();
  ASSERT_THAT(keys, Ok());
  ASSERT_EQ(keys->size(), 1u);
  EXPECT_EQ(keys->front().public_key, first);
  EXPECT_FALSE(keys->front().retired.has_value());
  EXPECT_EQ(keys->front().endorsed_by, "");
}

TEST_F(KeyRingTest, ARotatedKeyEndorsesItsSuccessor) {
  const auto ring = Open();
  const PublicKey old = ring->Current()->public_key();
  const auto rotated = ring->Rotate();
  ASSERT_THAT(rotated, Ok());
  const PublicKey now = ring->Current()->public_key();
  EXPECT_EQ(rotated->public_key, now.ToBase64());
  EXPECT_EQ(rotated->endorsed_by, old.Id());
  std::string endorsement;
  ASSERT_TRUE(Base64Decode(rotated->endorsement, &endorsement));
  EXPECT_TRUE(IsEndorsement(old, now, endorsement));
  EXPECT_FALSE(IsEndorsement(now, old, endorsement));
  EXPECT_FALSE(old.Verify(now.bytes, endorsement)) << "must not pass for a signature of a message";
  const auto keys = *ring->Keys();
  ASSERT_EQ(keys.size(), 2u);
  EXPECT_EQ(keys[0].public_key, now.ToBase64());
  EXPECT_TRUE(keys[1].retired.has_value());
  EXPECT_EQ(ring->PublicKeys()->size(), 2u);
  EXPECT_EQ(Open()->Current()->public_key().ToBase64(), now.ToBase64());
}

TEST_F(KeyRingTest, ARotationCutOffBeforeItsRecordCountsForNothing) {
  const std::string first = Open()->Current()->public_key().ToBase64();
  ASSERT_THAT(SigningKey::LoadOrCreate(next_), Ok());
  EXPECT_EQ(Open()->Current()->public_key().ToBase64(), first);
  EXPECT_FALSE(std::filesystem::exists(next_));
}

TEST_F(KeyRingTest, ARotationCutOffAfterItsRecordIsFinished) {
  const auto ring = Open();
  const auto before = ReadFile(file_, 64);
  ASSERT_THAT(ring->Rotate(), Ok());
  const std::string second = ring->Current()->public_key().ToBase64();
  std::filesystem::rename(file_, next_);  // as if killed between the commit and the rename
  ASSERT_THAT(WriteFileAtomically(file_, AsBytes(*before), kSecretMode), Ok());
  EXPECT_EQ(Open()->Current()->public_key().ToBase64(), second);
  EXPECT_FALSE(std::filesystem::exists(next_));
}

// Of a store that was made before keys had records, or a key that an operator put there.
TEST_F(KeyRingTest, AKeyWithoutARecordGetsOne) {
  const auto key = SigningKey::LoadOrCreate(file_);
  ASSERT_THAT(key, Ok());
  EXPECT_EQ(Open()->Keys()->front().public_key, key->public_key().ToBase64());
}

}  // namespace
}  // namespace signum
