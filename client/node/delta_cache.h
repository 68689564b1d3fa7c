#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "storage/base/digest.h"
#include "storage/base/file.h"
#include "storage/base/result.h"

namespace signum::client {

// Delta files and manifests on the node's disk, named by digest, so that a restart downloads
// nothing. Nothing in it is trusted: whoever reads an entry verifies it and drops it where it is
// bad.
//   DIR/deltas/<hex>     DIR/manifests/<hex>     (with .part beside, while one is being fetched)
// Thread-safe.
class DeltaCache {
 public:
  // Errc::kUnavailable "cache_in_use" while another DeltaCache, of whatever process, has it.
  // `max_bytes`: the least recently used entries beyond it go when Trim is called; 0: no bound.
  static Result<std::unique_ptr<DeltaCache>> Open(const std::filesystem::path& directory,
                                                  uint64_t max_bytes);

  // Where a delta lies or is to be put.
  std::filesystem::path DeltaPath(const Digest& digest) const;
  std::filesystem::path ManifestPath(const Digest& digest) const;

  // Marks an entry as used now.
  void Touch(const std::filesystem::path& entry);
  void Drop(const std::filesystem::path& entry);

  // Removes entries and unfinished downloads, the longest unused first, until the rest fits; what
  // `keep` names stays, whatever it takes.
  void Trim(const std::set<Digest>& keep);

  uint64_t TotalBytes() const;
  const std::filesystem::path& directory() const { return directory_; }

 private:
  DeltaCache(std::filesystem::path directory, uint64_t max_bytes, File lock)
      : directory_(std::move(directory)), max_bytes_(max_bytes), lock_(std::move(lock)) {}

  std::filesystem::path directory_;
  uint64_t max_bytes_;
  File lock_;
  mutable std::mutex mutex_;
};

}  // namespace signum::client
