#include "client/node/delta_cache.h"

#include <algorithm>
#include <vector>

#include "storage/base/directory_lock.h"

namespace signum::client {

namespace fs = std::filesystem;

namespace {

struct Entry {
  fs::path path;
  uint64_t size = 0;
  fs::file_time_type used;
};

// Every file of deltas/ and manifests/. A file that vanishes meanwhile is left out.
std::vector<Entry> ListEntries(const fs::path& directory) {
  std::vector<Entry> out;
  for (const char* folder : {"deltas", "manifests"}) {
    std::error_code error;
    for (fs::directory_iterator it(directory / folder, error), end; !error && it != end;
         it.increment(error)) {
      std::error_code gone;
      Entry entry{it->path(), it->file_size(gone), {}};
      if (!gone) entry.used = it->last_write_time(gone);
      if (!gone) out.push_back(std::move(entry));
    }
  }
  return out;
}

uint64_t SumOf(const std::vector<Entry>& entries) {
  uint64_t sum = 0;
  for (const Entry& entry : entries) sum += entry.size;
  return sum;
}

}  // namespace

Result<std::unique_ptr<DeltaCache>> DeltaCache::Open(const fs::path& directory,
                                                     uint64_t max_bytes) {
  for (const char* folder : {"deltas", "manifests", "live"}) {
    std::error_code error;
    fs::create_directories(directory / folder, error);
    if (error) return FromErrno(error.value(), (directory / folder).string());
  }
  std::error_code error;  // tenants' models are not for every user of the machine
  fs::permissions(directory, fs::perms::owner_all, error);
  if (error) return FromErrno(error.value(), directory.string());
  SIGNUM_ASSIGN(File lock, LockDirectory(directory, "cache_in_use",
                                         "another node uses the cache " + directory.string() +
                                             ": each needs a directory of its own"));
  return std::unique_ptr<DeltaCache>(new DeltaCache(directory, max_bytes, std::move(lock)));
}

fs::path DeltaCache::DeltaPath(const Digest& digest) const {
  return directory_ / "deltas" / digest.Hex();
}

fs::path DeltaCache::ManifestPath(const Digest& digest) const {
  return directory_ / "manifests" / digest.Hex();
}

void DeltaCache::Touch(const fs::path& entry) {
  std::error_code ignored;
  fs::last_write_time(entry, fs::file_time_type::clock::now(), ignored);
}

void DeltaCache::Drop(const fs::path& entry) {
  std::error_code ignored;
  fs::remove(entry, ignored);
}

void DeltaCache::Trim(const std::set<Digest>& keep) {
  if (max_bytes_ == 0) return;
  const std::lock_guard lock(mutex_);
  std::vector<Entry> entries = ListEntries(directory_);
  std::sort(entries.begin(), entries.end(),
            [](const Entry& a, const Entry& b) { return a.used < b.used; });
  uint64_t total = SumOf(entries);
  for (const Entry& entry : entries) {
    if (total <= max_bytes_) return;
    // "<hex>.part" and "<hex>.part.etag" are kept as long as what they will become.
    const Result<Digest> digest = Digest::FromText(entry.path.filename().string().substr(0, 64));
    if (digest && keep.contains(*digest)) continue;
    Drop(entry.path);
    total -= entry.size;
  }
}

uint64_t DeltaCache::TotalBytes() const {
  const std::lock_guard lock(mutex_);
  return SumOf(ListEntries(directory_));
}

}  // namespace signum::client
