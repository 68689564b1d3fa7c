#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "client/registry.h"
#include "storage/base/result.h"
#include "storage/format/manifest.h"

namespace signum::client {

// Called with the file in hand and the bytes of it that are here.
using PullProgress = std::function<void(std::string_view file, uint64_t done, uint64_t total)>;

// Checks a manifest's envelope against the keys one trusts: any may have signed it.
// Errc::kCorrupt "unknown_key" where none did.
Result<Manifest> VerifyManifest(std::string_view envelope, const std::vector<PublicKey>& keys);

// Also that the manifest is the one of this version. Errc::kCorrupt "manifest_mismatch".
Result<void> CheckManifestIs(const Manifest& manifest, std::string_view tenant,
                             std::string_view model, uint64_t version);

// One version to pull, by number (`version` as GetVersion answered it).
struct PullTarget {
  std::string tenant, model;
  uint64_t version = 0;
  std::vector<PublicKey> keys;
};

struct PulledFile {
  std::string path;
  uint64_t size = 0;
  Digest digest;
};

// Fetches DIR/<model>.safetensors and DIR/<model>.manifest.json. The delta is checked chunk by
// chunk against the signed manifest before it gets its name. A file that is there and good is not
// fetched.
Result<std::vector<PulledFile>> PullDelta(Registry& registry, const PullTarget& target,
                                          const std::filesystem::path& directory,
                                          const PullProgress& progress);

// Fetches every file of the checkpoint into DIR. Digests come from the signed manifest (`exact`) or
// from the version's resource (`onebit`), and are checked before a file gets its name.
Result<std::vector<PulledFile>> PullCheckpoint(Registry& registry, const PullTarget& target,
                                               std::string_view fidelity,
                                               const std::filesystem::path& directory,
                                               const PullProgress& progress);

}  // namespace signum::client
