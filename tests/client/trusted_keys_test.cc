#include "client/trusted_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace signum::client {
namespace {

using ::testing::ElementsAre;

SigningKey Key(char seed) { return SigningKey::FromSeed(std::string(32, seed)).value(); }

RegistryKey Listed(const SigningKey& key, const SigningKey* by = nullptr) {
  RegistryKey listed{key.public_key().Id(), key.public_key(), ""};
  if (by != nullptr) listed.endorsement = Endorse(*by, key.public_key());
  return listed;
}

std::vector<std::string> Bytes(const std::vector<PublicKey>& keys) {
  std::vector<std::string> bytes;
  for (const PublicKey& key : keys) bytes.push_back(key.bytes);
  return bytes;
}

TEST(WithEndorsed, FollowsTheChainWhateverTheOrder) {
  const SigningKey a = Key('a'), b = Key('b'), c = Key('c');
  const auto trusted = WithEndorsed({a.public_key()}, {Listed(c, &b), Listed(b, &a), Listed(a)});
  EXPECT_THAT(Bytes(trusted),
              ElementsAre(a.public_key().bytes, b.public_key().bytes, c.public_key().bytes));
}

TEST(WithEndorsed, BelievesNobodyElse) {
  const SigningKey a = Key('a'), b = Key('b'), stranger = Key('s');
  RegistryKey swapped = Listed(b, &a);
  swapped.key = stranger.public_key();
  RegistryKey garbled = Listed(b, &a);
  garbled.endorsement[5] = static_cast<char>(garbled.endorsement[5] ^ 1);
  const auto trusted =
      WithEndorsed({a.public_key()}, {Listed(a), Listed(stranger), Listed(stranger, &stranger),
                                      Listed(b, &stranger), swapped, garbled});
  EXPECT_THAT(Bytes(trusted), ElementsAre(a.public_key().bytes));
}

}  // namespace
}  // namespace signum::client
