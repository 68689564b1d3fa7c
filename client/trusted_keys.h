#pragma once

#include <vector>

#include "client/registry.h"

namespace signum::client {

// The keys that are trusted where `trusted` are: these, and of those that a registry lists each
// that one of them endorsed, directly or not.
std::vector<PublicKey> WithEndorsed(std::vector<PublicKey> trusted,
                                    const std::vector<RegistryKey>& listed);

}  // namespace signum::client
