#include "storage/base/digest.h"

#include <gtest/gtest.h>

#include "tests/support/result_matchers.h"

namespace signum {
namespace {

// FIPS 180-4 examples.
constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
constexpr char kEmpty[] = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

TEST(Sha256, AgreesWithTheStandard) {
  EXPECT_EQ(Sha256::Of(AsBytes("abc")).Hex(), kAbc);
  EXPECT_EQ(Sha256::Of({}).Hex(), kEmpty);
}

TEST(Sha256, TakesPiecesAndStartsAnew) {
  Sha256 hash;
  hash.Update(AsBytes("a"));
  hash.Update({});
  hash.Update(AsBytes("bc"));
  EXPECT_EQ(hash.Finish().Hex(), kAbc);
  EXPECT_EQ(hash.Finish().Hex(), kEmpty);
}

TEST(Digest, ReadsItsOwnText) {
  const Digest digest = Sha256::Of(AsBytes("abc"));
  EXPECT_EQ(digest.Text(), std::string("sha256:") + kAbc);
  EXPECT_EQ(Digest::FromText(digest.Text()).value(), digest);
  EXPECT_EQ(Digest::FromText(kAbc).value(), digest);
  EXPECT_EQ(digest.ReprDigest(), "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:");
}

TEST(Digest, RefusesOtherText) {
  std::string upper = kAbc;
  upper[0] = 'B';
  for (const std::string& bad :
       {std::string(), std::string(kAbc).substr(1), std::string(kAbc) + "0", upper,
        "sha512:" + std::string(kAbc), std::string(64, 'g')}) {
    EXPECT_THAT(Digest::FromText(bad), FailsWith(Errc::kInvalid, "bad_digest", "64 hex"));
  }
}

}  // namespace
}  // namespace signum
