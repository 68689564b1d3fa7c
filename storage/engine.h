#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/byte_source.h"
#include "storage/base/result.h"

namespace signum {

// One condition of a batch: `key` must hold exactly `value`, or be absent where value is nullopt.
struct Precondition {
  std::string key;
  std::optional<std::string> value;
};

struct Mutation {
  std::string key;
  std::optional<std::string> value;  // nullopt deletes
};

// Applied all or not at all. An engine whose transactions cover one partition may refuse a batch
// whose keys span two; the partition of a key is its prefix up to and including the second '/'
// ("t/acme/" of "t/acme/m/chat/v/7"; see DESIGN.md for the key space).
struct Batch {
  std::vector<Precondition> preconditions;
  std::vector<Mutation> mutations;

  void Require(std::string key, std::optional<std::string> value) {
    preconditions.push_back({std::move(key), std::move(value)});
  }
  void Put(std::string key, std::string value) {
    mutations.push_back({std::move(key), std::move(value)});
  }
  void Delete(std::string key) { mutations.push_back({std::move(key), std::nullopt}); }
};

struct KeyValue {
  std::string key;
  std::string value;
};

// A blob being written. Dropping it unsealed leaves nothing behind.
class BlobWriter {
 public:
  virtual ~BlobWriter() = default;
  virtual Result<void> Append(ConstBytes bytes) = 0;
  // Makes the blob durable and readable and returns its id. Call once.
  virtual Result<uint64_t> Seal() = 0;
};

// A right held for a while by one holder; others see it until it expires or is released.
class EngineLease {
 public:
  virtual ~EngineLease() = default;  // releases
  virtual Result<void> Renew() = 0;  // Errc::kConflict when it was lost
};

// A file of the engine's own, with the checksum that the engine recorded when it wrote it.
struct EngineFile {
  std::string name;  // below the store's directory
  uint64_t size = 0;
  std::string crc32c;            // 8 hex digits; empty where none is known
  std::optional<uint64_t> blob;  // that it holds
};

// What a snapshot of the store consists of: files below the directory it was made in.
struct SnapshotFile {
  std::string name;
  uint64_t size = 0;
  bool immutable = false;  // another snapshot's file of the same name and checksum is the same
  std::string crc32c;      // as EngineFile
};

struct EngineUsage {
  uint64_t blob_bytes = 0;      // on disk, blobs
  uint64_t metadata_bytes = 0;  // on disk, keys, values, logs
};

// What Signum asks of a storage engine: ordered durable keys, immutable blobs, leases, watches.
// Narrow on purpose: RocksDB embeds it in one process, Ceph RADOS is to follow. Thread-safe. A call
// that returns success is durable: it survives kill -9 and power loss.
class Engine {
 public:
  virtual ~Engine() = default;

  // ---- ordered keys
  virtual Result<std::optional<std::string>> Get(std::string_view key) const = 0;
  // Keys in [begin, end) in order, at most `limit`.
  virtual Result<std::vector<KeyValue>> Scan(std::string_view begin, std::string_view end,
                                             size_t limit) const = 0;
  // Errc::kPrecondition "precondition_failed" names the key whose condition does not hold.
  virtual Result<void> Commit(const Batch& batch) = 0;

  // ---- immutable blobs
  virtual Result<std::unique_ptr<BlobWriter>> CreateBlob() = 0;
  // Errc::kNotFound; kCorrupt where the engine's own checksum fails while reading.
  virtual Result<std::shared_ptr<const ByteSource>> OpenBlob(uint64_t id) const = 0;
  virtual Result<void> DeleteBlob(uint64_t id) = 0;
  virtual Result<std::vector<uint64_t>> ListBlobs() const = 0;

  // ---- leases
  // Errc::kConflict "lease_held" while another holder has it.
  virtual Result<std::unique_ptr<EngineLease>> AcquireLease(std::string_view name,
                                                            std::string_view holder,
                                                            int64_t duration_micros) = 0;

  // ---- watch
  // Calls `callback` after each commit that touches a key beginning with `prefix`, on the
  // committing thread: it must be quick and must not call the engine. The subscription ends when
  // the returned handle is destroyed.
  virtual std::shared_ptr<void> Watch(std::string prefix,
                                      std::function<void(std::string_view key)> callback) = 0;

  virtual Result<EngineUsage> Usage() const = 0;

  // ---- upkeep, for engines that lie in files; others have none and nothing to do
  // Gives the room of deleted keys in [begin, end) back to the disk.
  virtual Result<void> Reclaim(std::string_view begin, std::string_view end);
  virtual Result<std::vector<EngineFile>> ListFiles() const;
  // Reads a whole file: kCorrupt "file_damaged" where its checksum is not the recorded one;
  // kNotFound where it is no longer part of the store. `progress` as of a ByteSource's readers.
  virtual Result<void> VerifyFile(const EngineFile& file,
                                  const std::function<bool(uint64_t)>& progress) const;
  // Writes a consistent cut of the whole store, as of now, below `directory`, which does not exist
  // yet and is on the store's disk: what is big is linked, not copied. kUnavailable "no_snapshots".
  virtual Result<std::vector<SnapshotFile>> Snapshot(const std::string& directory);
};

// Opens (or creates) the RocksDB engine in `directory`. Errc::kUnavailable "store_locked" while
// another process has it.
struct RocksEngineOptions {
  uint64_t block_cache_bytes = 64ull << 20;
};
Result<std::unique_ptr<Engine>> OpenRocksEngine(const std::string& directory,
                                                const RocksEngineOptions& options = {});

// A volatile engine in memory, for tests: the conformance suite's second implementation.
std::unique_ptr<Engine> NewMemoryEngine();

}  // namespace signum
