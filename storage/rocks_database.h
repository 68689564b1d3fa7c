#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/file.h"
#include "storage/base/result.h"
#include "storage/engine.h"

namespace rocksdb {
class ColumnFamilyHandle;
class DB;
class Env;
class Status;
struct Options;
}  // namespace rocksdb

namespace signum {

// An open RocksDB and what belongs to it. Blob sources and writers share it, so that it closes
// after the last of them. Layout of its directory: lock, db/ (RocksDB's own), staging/ (blobs being
// written; emptied when it opens). Thread-safe.
class RocksDatabase {
 public:
  static Result<std::shared_ptr<RocksDatabase>> Open(const std::filesystem::path& directory,
                                                     const RocksEngineOptions& options,
                                                     rocksdb::Env* env = nullptr);
  ~RocksDatabase();
  RocksDatabase(const RocksDatabase&) = delete;
  RocksDatabase& operator=(const RocksDatabase&) = delete;

  // The database, open while this lives. Keep it for one call of RocksDB.
  class Session {
   public:
    rocksdb::DB& db() const { return *database_->db_; }
    rocksdb::ColumnFamilyHandle* keys() const { return database_->families_[0]; }
    rocksdb::ColumnFamilyHandle* blobs() const { return database_->families_[1]; }
    rocksdb::ColumnFamilyHandle* internal() const {
      return database_->families_[2];
    }  // engine's own

   private:
    friend class RocksDatabase;
    explicit Session(const RocksDatabase& database) : database_(&database), lock_(database.gate_) {}
    const RocksDatabase* database_;
    std::shared_lock<std::shared_mutex> lock_;
  };
  // An error only where the database had to be closed and could not be opened again (a full disk).
  Result<Session> Use();

  // After a failed write RocksDB 7.8 refuses all others until it is resumed, and takes no ingest
  // until it was opened anew (an assertion fails: ErrorHandler::ClearBGError forgets a flag).
  // Heal() before every write does both, where the write before failed; Note() the write's status.
  Result<void> Heal();
  Result<void> Note(const rocksdb::Status& status, std::string_view what);

  // Shared while a blob is ingested. A checkpoint takes its list of files before the log, so it
  // must hold this alone: else the log may name a blob that is not among the files.
  std::shared_mutex& ingests() { return ingests_; }

  const rocksdb::Options& blob_options() const;
  const std::filesystem::path& directory() const { return directory_; }
  std::filesystem::path staging() const { return directory_ / "staging"; }
  // Where a staged file goes whose ingest failed, until Heal has settled whether it did.
  static std::filesystem::path Unsettled(const std::filesystem::path& staged);

 private:
  struct Settings;  // rocks_database.cc

  RocksDatabase(std::filesystem::path directory, const RocksEngineOptions& options,
                rocksdb::Env* env);
  Result<void> OpenDb();
  void CloseDb();
  bool RestoreUnsettled(const std::string& why);

  const std::filesystem::path directory_;
  const std::unique_ptr<Settings> settings_;
  File lock_;
  std::atomic<bool> failed_ = false;   // since the last Heal()
  std::atomic<bool> healing_ = false;  // keeps new sessions from holding up the one that closes
  std::mutex heal_mutex_;
  mutable std::shared_mutex gate_;  // shared: db_ stays open
  std::shared_mutex ingests_;
  std::unique_ptr<rocksdb::DB> db_;
  std::vector<rocksdb::ColumnFamilyHandle*> families_;
};

// The Error of a failed RocksDB call on `what`: no space is kExhausted "disk_full", a failed
// checksum kCorrupt "store_corrupt".
Error FromRocks(const rocksdb::Status& status, std::string_view what);

}  // namespace signum
