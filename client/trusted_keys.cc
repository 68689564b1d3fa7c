#include "client/trusted_keys.h"

#include <algorithm>

namespace signum::client {
namespace {

bool Contains(const std::vector<PublicKey>& keys, const PublicKey& key) {
  return std::any_of(keys.begin(), keys.end(),
                     [&](const PublicKey& known) { return known.bytes == key.bytes; });
}

bool EndorsedByAny(const std::vector<PublicKey>& keys, const RegistryKey& listed) {
  return std::any_of(keys.begin(), keys.end(), [&](const PublicKey& known) {
    return IsEndorsement(known, listed.key, listed.endorsement);
  });
}

}  // namespace

std::vector<PublicKey> WithEndorsed(std::vector<PublicKey> trusted,
                                    const std::vector<RegistryKey>& listed) {
  for (size_t before = 0; before != trusted.size();) {
    before = trusted.size();
    for (const RegistryKey& key : listed) {
      if (!Contains(trusted, key.key) && EndorsedByAny(trusted, key)) trusted.push_back(key.key);
    }
  }
  return trusted;
}

}  // namespace signum::client
