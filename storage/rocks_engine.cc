#include <rocksdb/db.h>
#include <rocksdb/iterator.h>
#include <sys/stat.h>

#include <filesystem>
#include <mutex>
#include <utility>

#include "storage/engine.h"
#include "storage/lease_table.h"
#include "storage/rocks_blobs.h"
#include "storage/rocks_committer.h"
#include "storage/rocks_database.h"
#include "storage/rocks_engine.h"
#include "storage/rocks_files.h"
#include "storage/schema.h"
#include "storage/watch_list.h"

namespace signum {

namespace {

constexpr std::string_view kNextBlobKey = "next_blob";
constexpr uint64_t kBlobNumbersReserved = 1024;  // one synced write for so many blobs

// Gives out blob numbers, none twice: it reserves ranges durably before it gives out of them, and
// what a process leaves of its range is never used.
class BlobNumbers {
 public:
  explicit BlobNumbers(std::shared_ptr<RocksDatabase> database) : database_(std::move(database)) {}

  Result<uint64_t> Next() {
    std::lock_guard lock(mutex_);
    if (next_ == end_) SIGNUM_TRY(Reserve());
    return next_++;
  }

 private:
  Result<void> Reserve() {
    std::string value;
    const rocksdb::Slice key(kNextBlobKey.data(), kNextBlobKey.size());
    SIGNUM_TRY(database_->Heal());
    SIGNUM_ASSIGN(const auto session, database_->Use());
    rocksdb::DB& db = session.db();
    const auto status = db.Get(rocksdb::ReadOptions(), session.internal(), key, &value);
    if (!status.ok() && !status.IsNotFound()) return FromRocks(status, "read the blob counter");
    const uint64_t begin = value.size() == 8 ? LoadLe<uint64_t>(value.data()) : 1;
    std::string reserved(8, '\0');
    StoreLe(reserved.data(), begin + kBlobNumbersReserved);
    rocksdb::WriteOptions options;
    options.sync = true;
    SIGNUM_TRY(database_->Note(db.Put(options, session.internal(), key, reserved),
                               "write the blob counter"));
    next_ = begin;
    end_ = begin + kBlobNumbersReserved;
    return {};
  }

  std::shared_ptr<RocksDatabase> database_;
  std::mutex mutex_;
  uint64_t next_ = 0;
  uint64_t end_ = 0;
};

// What the files below `directory` take on the disk, as du counts. Files may vanish meanwhile.
uint64_t DiskBytes(const std::filesystem::path& directory) {
  uint64_t bytes = 0;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator it(directory, error), end; it != end;
       it.increment(error)) {
    if (error) break;
    struct stat status {};
    if (::lstat(it->path().c_str(), &status) == 0) {
      bytes += static_cast<uint64_t>(status.st_blocks) * 512;
    }
  }
  return bytes;
}

class RocksEngine final : public Engine {
 public:
  explicit RocksEngine(std::shared_ptr<RocksDatabase> database)
      : database_(std::move(database)), committer_(database_), numbers_(database_) {}

  Result<std::optional<std::string>> Get(std::string_view key) const override {
    SIGNUM_ASSIGN(const auto session, database_->Use());
    std::string value;
    const rocksdb::Status status = session.db().Get(rocksdb::ReadOptions(), session.keys(),
                                                    rocksdb::Slice(key.data(), key.size()), &value);
    if (status.IsNotFound()) return std::optional<std::string>();
    if (!status.ok()) return FromRocks(status, "read " + std::string(key));
    return std::optional(std::move(value));
  }

  Result<std::vector<KeyValue>> Scan(std::string_view begin, std::string_view end,
                                     size_t limit) const override {
    SIGNUM_ASSIGN(const auto session, database_->Use());
    const rocksdb::Slice upper(end.data(), end.size());
    rocksdb::ReadOptions options;
    options.iterate_upper_bound = &upper;
    const std::unique_ptr<rocksdb::Iterator> it(session.db().NewIterator(options, session.keys()));
    std::vector<KeyValue> found;
    if (begin >= end || limit == 0) return found;
    for (it->Seek({begin.data(), begin.size()}); it->Valid(); it->Next()) {
      found.push_back({it->key().ToString(), it->value().ToString()});
      if (found.size() == limit) break;
    }
    if (!it->status().ok()) return FromRocks(it->status(), "scan " + std::string(begin));
    return found;
  }

  Result<void> Commit(const Batch& batch) override {
    SIGNUM_TRY(committer_.Commit(batch));
    for (const Mutation& mutation : batch.mutations) watches_.Notify(mutation.key);
    return {};
  }

  Result<std::unique_ptr<BlobWriter>> CreateBlob() override {
    SIGNUM_ASSIGN(const uint64_t number, numbers_.Next());
    return CreateRocksBlob(database_, number);
  }
  Result<std::shared_ptr<const ByteSource>> OpenBlob(uint64_t id) const override {
    return OpenRocksBlob(database_, id);
  }
  Result<void> DeleteBlob(uint64_t id) override { return DeleteRocksBlob(*database_, id); }
  Result<std::vector<uint64_t>> ListBlobs() const override { return ListRocksBlobs(*database_); }

  Result<std::unique_ptr<EngineLease>> AcquireLease(std::string_view name, std::string_view holder,
                                                    int64_t duration_micros) override {
    return leases_.Acquire(name, holder, duration_micros);
  }

  std::shared_ptr<void> Watch(std::string prefix,
                              std::function<void(std::string_view)> callback) override {
    return watches_.Add(std::move(prefix), std::move(callback));
  }

  Result<EngineUsage> Usage() const override {
    EngineUsage usage;
    SIGNUM_ASSIGN(usage.blob_bytes, RocksBlobBytes(*database_));
    const uint64_t total = DiskBytes(database_->directory());
    usage.metadata_bytes = total > usage.blob_bytes ? total - usage.blob_bytes : 0;
    return usage;
  }

  Result<void> Reclaim(std::string_view begin, std::string_view end) override {
    return CompactRocksKeys(*database_, begin, end);
  }
  Result<std::vector<EngineFile>> ListFiles() const override { return ListRocksFiles(*database_); }
  Result<void> VerifyFile(const EngineFile& file,
                          const std::function<bool(uint64_t)>& progress) const override {
    return VerifyRocksFile(*database_, file, progress);
  }
  Result<std::vector<SnapshotFile>> Snapshot(const std::string& directory) override {
    return SnapshotRocks(*database_, directory);
  }

 private:
  std::shared_ptr<RocksDatabase> database_;
  RocksCommitter committer_;
  BlobNumbers numbers_;
  LeaseTable leases_;
  WatchList watches_;
};

}  // namespace

Result<std::unique_ptr<Engine>> OpenRocksEngine(const std::string& directory,
                                                const RocksEngineOptions& options) {
  return OpenRocksEngineOn(nullptr, directory, options);
}

Result<std::unique_ptr<Engine>> OpenRocksEngineOn(rocksdb::Env* env, const std::string& directory,
                                                  const RocksEngineOptions& options) {
  SIGNUM_ASSIGN(auto database, RocksDatabase::Open(directory, options, env));
  auto engine = std::make_unique<RocksEngine>(std::move(database));
  SIGNUM_TRY(EnsureSchema(*engine));
  return std::unique_ptr<Engine>(std::move(engine));
}

}  // namespace signum
