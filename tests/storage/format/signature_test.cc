#include "storage/format/signature.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>

#include "storage/base/bytes.h"
#include "tests/support/result_matchers.h"
#include "tests/support/temp_dir.h"

namespace signum {
namespace {

std::string FromHex(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i < hex.size(); i += 2) {
    out.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  }
  return out;
}

// RFC 8032, §7.1, tests 1 and 2.
TEST(SigningKey, AgreesWithTheRfc) {
  const SigningKey one =
      SigningKey::FromSeed(
          FromHex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
          .value();
  EXPECT_EQ(HexEncode(AsBytes(one.public_key().bytes)),
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  EXPECT_EQ(
      HexEncode(AsBytes(one.Sign(""))),
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9"
      "b46bd25bf5f0595bbe24655141438e7a100b");
  const SigningKey two =
      SigningKey::FromSeed(
          FromHex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
          .value();
  EXPECT_EQ(
      HexEncode(AsBytes(two.Sign("\x72"))),
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f1"
      "1d8c387b2eaeb4302aeeb00d291612bb0c00");
}

TEST(PublicKey, VerifiesWhatWasSignedAndNothingElse) {
  const SigningKey key = SigningKey::Generate().value();
  const std::string signature = key.Sign("message");
  EXPECT_TRUE(key.public_key().Verify("message", signature));
  EXPECT_FALSE(key.public_key().Verify("messagf", signature));
  EXPECT_FALSE(key.public_key().Verify("message", signature.substr(1)));
  std::string flipped = signature;
  flipped[10] = static_cast<char>(flipped[10] ^ 1);
  EXPECT_FALSE(key.public_key().Verify("message", flipped));
  EXPECT_FALSE(SigningKey::Generate().value().public_key().Verify("message", signature));
  EXPECT_FALSE(PublicKey{}.Verify("message", signature));
}

TEST(PublicKey, ReadsItsBase64) {
  const PublicKey key = SigningKey::Generate().value().public_key();
  EXPECT_EQ(PublicKey::FromBase64(key.ToBase64()).value().bytes, key.bytes);
  EXPECT_EQ(key.Id().size(), 16U);
  for (const char* bad : {"", "AAAA", "not base64"}) {
    EXPECT_THAT(PublicKey::FromBase64(bad), FailsWith(Errc::kInvalid, "bad_key", "32-byte"));
  }
}

TEST(SigningKey, IsMadeOnceAndKeptPrivate) {
  const TempDir dir;
  const SigningKey made = SigningKey::LoadOrCreate(dir / "signing.key").value();
  struct stat status {};
  ASSERT_EQ(::stat((dir / "signing.key").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(SigningKey::LoadOrCreate(dir / "signing.key").value().public_key().bytes,
            made.public_key().bytes);
}

TEST(SigningKey, RefusesADamagedFile) {
  const TempDir dir;
  std::ofstream(dir / "short") << "abc";
  std::ofstream(dir / "long") << std::string(33, 'a');
  EXPECT_THAT(SigningKey::LoadOrCreate(dir / "short"),
              FailsWith(Errc::kCorrupt, "bad_key", "short"));
  EXPECT_FALSE(SigningKey::LoadOrCreate(dir / "long"));
  EXPECT_FALSE(SigningKey::FromSeed("abc"));
}

}  // namespace
}  // namespace signum
