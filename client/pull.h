#pragma once

#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "client/model_ref.h"
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

// What `ref` asks to pull: one version (the live one where it names none), or every live model of a
// tenant. `key` (base64) is the one manifests must be signed with; empty: the registry's. Errc::
// kConflict "version_not_ready", kNotFound "nothing_live".
Result<std::vector<PullTarget>> ResolvePull(Registry& registry, const ModelRef& ref,
                                            const std::string& key);

// Where a target goes below `output`: straight into it, but of several checkpoints each into a
// folder of its own. `as`: "delta" or "checkpoint".
std::filesystem::path PullDirectory(const std::filesystem::path& output, const ModelRef& ref,
                                    const PullTarget& target, std::string_view as);

// {"tenant","model","version","files":[{"path","size","sha256"}]}
nlohmann::json PulledToJson(const PullTarget& target, const std::vector<PulledFile>& files);

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
