#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "client/local_checkpoint.h"
#include "client/registry.h"
#include "storage/base/result.h"

namespace signum::client {

// Base checkpoints on the node's disk, as the registry has them:
//   DIR/bases/<hex of the base's digest>/…     with <hex>.json beside: its files and their digests
// Nothing is believed: a base that is opened has been hashed whole, its tensors must make up the
// digest that deltas name, and its other files must be those that the registry lists.
class BaseStore {
 public:
  // `local`: folders with bases that need not be fetched.
  BaseStore(std::filesystem::path directory, std::vector<std::filesystem::path> local)
      : directory_(std::move(directory)), local_(std::move(local)) {}

  // From a local folder, the cache or the registry. Errors: the registry's; Errc::kCorrupt
  // base_mismatch, digest_mismatch; kExhausted disk_full. Not thread-safe.
  Result<std::shared_ptr<const LocalCheckpoint>> Obtain(Registry& registry, const std::string& name,
                                                        const Digest& digest);

 private:
  std::shared_ptr<const LocalCheckpoint> FindLocal(const Digest& digest);
  Result<std::shared_ptr<const LocalCheckpoint>> OpenCached(const Digest& digest) const;
  Result<void> Fetch(Registry& registry, const std::string& name, const Digest& digest) const;

  std::filesystem::path FolderOf(const Digest& digest) const { return directory_ / digest.Hex(); }
  std::filesystem::path ListOf(const Digest& digest) const {
    return directory_ / (digest.Hex() + ".json");
  }

  const std::filesystem::path directory_;
  const std::vector<std::filesystem::path> local_;
  std::vector<std::shared_ptr<const LocalCheckpoint>> opened_;  // of local_, once hashed
};

}  // namespace signum::client
