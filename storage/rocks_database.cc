#include "storage/rocks_database.h"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/listener.h>
#include <rocksdb/options.h>
#include <rocksdb/table.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <regex>

#include "storage/base/directory_lock.h"
#include "storage/rocks_checksum.h"
#include "storage/rocks_log_file.h"
#include "storage/rocks_logger.h"

namespace signum {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMiB = 1 << 20;
const std::vector<std::string> kFamilyNames = {"default", "blobs", "internal"};

constexpr std::string_view kUnsettled = ".unsettled";

// Shards must be several times a blob's 1 MiB block, or nothing stays cached.
constexpr int kCacheShardBits = 2;

std::shared_ptr<rocksdb::TableFactory> TableFactory(std::shared_ptr<rocksdb::Cache> cache) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = std::move(cache);
  table.cache_index_and_filter_blocks = true;  // so that the cache bounds all memory of tables
  table.checksum = rocksdb::kXXH3;
  table.format_version = 5;
  return std::shared_ptr<rocksdb::TableFactory>(rocksdb::NewBlockBasedTableFactory(table));
}

// RocksDB would look for space again every few seconds and refuse to be resumed meanwhile; the next
// write does it sooner (RocksDatabase::Heal).
class NoAutomaticRecovery final : public rocksdb::EventListener {
 public:
  void OnErrorRecoveryBegin(rocksdb::BackgroundErrorReason, rocksdb::Status,
                            bool* automatic) override {
    *automatic = false;
  }
};

// Everything is bounded: a server's memory must not grow with its store.
rocksdb::DBOptions DatabaseOptions(rocksdb::Env* env) {
  rocksdb::DBOptions db;
  if (env != nullptr) db.env = env;
  db.create_if_missing = true;
  db.create_missing_column_families = true;
  db.max_open_files = 512;
  db.max_background_jobs = 2;
  db.max_total_wal_size = 64 * kMiB;
  db.db_write_buffer_size = 32 * kMiB;
  db.info_log = NewRocksLogger();
  db.listeners = {std::make_shared<NoAutomaticRecovery>()};
  db.verify_sst_unique_id_in_manifest = false;  // ingested files have none
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  db.skip_stats_update_on_db_open = true;
  db.allow_fallocate = false;  // a preallocated log would count as stored bytes
  db.file_checksum_gen_factory = NewFileChecksumFactory();
  return db;
}

rocksdb::ColumnFamilyOptions KeyFamily(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions family;
  family.write_buffer_size = 16 * kMiB;
  family.max_write_buffer_number = 2;
  family.compression = rocksdb::kNoCompression;
  family.table_factory = TableFactory(cache);
  return family;
}

rocksdb::ColumnFamilyOptions BlobFamily(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::ColumnFamilyOptions family = KeyFamily(cache);
  family.write_buffer_size = 64 * 1024;  // never written to: blobs come by ingest
  family.disable_auto_compactions = true;
  return family;
}

bool IsNoSpace(const rocksdb::Status& status) {
  if (status.IsNoSpace()) return true;
  const std::string text = status.ToString();  // EFBIG and EDQUOT have no code of their own
  return status.IsIOError() &&
         (text.find("File too large") != text.npos || text.find("quota exceeded") != text.npos ||
          text.find("No space left") != text.npos);
}

// A family that this program does not know was made by a newer one.
Result<void> CheckFamilies(const std::string& path) {
  std::vector<std::string> present;
  if (!rocksdb::DB::ListColumnFamilies(rocksdb::DBOptions(), path, &present).ok()) return {};
  for (const std::string& name : present) {
    if (std::find(kFamilyNames.begin(), kFamilyNames.end(), name) != kFamilyNames.end()) continue;
    return Fail(Errc::kUnavailable, "schema_too_new",
                "the store in " + path + " has a column family '" + name +
                    "' that this version of Signum does not know");
  }
  return {};
}

Result<void> MakeDirectories(const fs::path& directory) {
  for (const char* name : {"db", "staging"}) {
    std::error_code error;
    fs::create_directories(directory / name, error);
    if (error) return FromErrno(error.value(), "create " + (directory / name).string());
  }
  return {};
}

}  // namespace

Error FromRocks(const rocksdb::Status& status, std::string_view what) {
  const std::string message = std::string(what) + ": " + status.ToString();
  if (IsNoSpace(status)) return Fail(Errc::kExhausted, "disk_full", message);
  if (status.IsCorruption()) return Fail(Errc::kCorrupt, "store_corrupt", message);
  if (status.IsNotFound()) return Fail(Errc::kNotFound, "not_found", message);
  if (status.IsBusy() || status.IsTryAgain() || status.IsIncomplete()) {
    return Fail(Errc::kUnavailable, "store_busy", message);
  }
  return Fail(Errc::kInternal, "store_error", message);
}

struct RocksDatabase::Settings {
  Settings(const RocksEngineOptions& options, rocksdb::Env* env)
      : database(DatabaseOptions(env)),
        cache(rocksdb::NewLRUCache(
            rocksdb::LRUCacheOptions(options.block_cache_bytes, kCacheShardBits, false, 0.5))),
        families{{kFamilyNames[0], KeyFamily(cache)},
                 {kFamilyNames[1], BlobFamily(cache)},
                 {kFamilyNames[2], KeyFamily(cache)}},
        blobs(database, families[1].options) {}

  const rocksdb::DBOptions database;
  const std::shared_ptr<rocksdb::Cache> cache;
  const std::vector<rocksdb::ColumnFamilyDescriptor> families;
  const rocksdb::Options blobs;
};

RocksDatabase::RocksDatabase(fs::path directory, const RocksEngineOptions& options,
                             rocksdb::Env* env)
    : directory_(std::move(directory)), settings_(std::make_unique<Settings>(options, env)) {}

RocksDatabase::~RocksDatabase() { CloseDb(); }

const rocksdb::Options& RocksDatabase::blob_options() const { return settings_->blobs; }

Result<std::shared_ptr<RocksDatabase>> RocksDatabase::Open(const fs::path& directory,
                                                           const RocksEngineOptions& options,
                                                           rocksdb::Env* env) {
  std::shared_ptr<RocksDatabase> database(new RocksDatabase(directory, options, env));
  SIGNUM_TRY(MakeDirectories(directory));
  SIGNUM_ASSIGN(database->lock_, LockDirectory(directory, "store_locked",
                                               "the store in " + directory.string() +
                                                   " is in use by another process"));
  SIGNUM_TRY(CheckFamilies((directory / "db").string()));
  SIGNUM_TRY(database->OpenDb());
  SIGNUM_TRY(SyncDirectory(directory));
  // What a dead process had not sealed. Safe only now that the store is ours.
  for (const auto& entry : fs::directory_iterator(database->staging())) {
    fs::remove_all(entry.path());
  }
  return database;
}

Result<void> RocksDatabase::OpenDb() {
  SIGNUM_TRY(CheckRocksLogs(directory_ / "db"));
  rocksdb::DB* db = nullptr;
  rocksdb::Status status;
  do {
    status = rocksdb::DB::Open(settings_->database, (directory_ / "db").string(),
                               settings_->families, &families_, &db);
  } while (status.IsCorruption() && RestoreUnsettled(status.ToString()));
  if (!status.ok()) return FromRocks(status, "open " + directory_.string());
  db_.reset(db);
  return {};
}

fs::path RocksDatabase::Unsettled(const fs::path& staged) {
  return fs::path(staged).replace_extension(kUnsettled);
}

// An ingest whose record could not be synced to RocksDB's MANIFEST has failed, and RocksDB deletes
// its link to the file; but the record may have reached the disk, and then the database cannot be
// opened without the file. The engine keeps the file as unsettled until it was opened once more.
bool RocksDatabase::RestoreUnsettled(const std::string& why) {
  // RocksDB tells of it in several ways, all of which end like this.
  static const std::regex kMissing("/([0-9]+)\\.(ldb|sst): No such file or directory");
  std::smatch found;
  if (!std::regex_search(why, found, kMissing)) return false;
  const fs::path missing = directory_ / "db" / (found[1].str() + ".sst");
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(staging(), error)) {
    if (entry.path().extension() != kUnsettled) continue;
    fs::rename(entry.path(), missing, error);
    if (error) return false;
    spdlog::warn("restored {}, whose ingest had failed, because the MANIFEST names it",
                 missing.string());
    return true;
  }
  return false;
}

void RocksDatabase::CloseDb() {
  if (!db_) return;
  for (rocksdb::ColumnFamilyHandle* family : families_) db_->DestroyColumnFamilyHandle(family);
  families_.clear();
  db_->Close();
  db_.reset();
}

Result<RocksDatabase::Session> RocksDatabase::Use() {
  for (bool tried = false;; tried = true) {
    if (healing_) std::lock_guard wait(heal_mutex_);
    {
      Session session(*this);
      if (db_) return session;
    }
    if (tried) return Fail(Errc::kUnavailable, "store_closed", "the store is not open");
    failed_ = true;
    SIGNUM_TRY(Heal());
  }
}

// Resumes before it closes: that writes out what is in memory, so that there is room to open again,
// and settles whether the failed write happened (it did not). On a full disk the database stays
// open for its readers; after an error that RocksDB takes for fatal (a log that could not be
// written) it can only be opened anew, with what was synced.
Result<void> RocksDatabase::Heal() {
  if (!failed_) return {};
  std::lock_guard healing(heal_mutex_);
  if (!failed_) return {};
  if (db_) {
    const rocksdb::Status resumed = db_->Resume();
    if (IsNoSpace(resumed)) return FromRocks(resumed, "resume after a failed write");
  }
  healing_ = true;
  Result<void> opened;
  {
    std::unique_lock alone(gate_);
    CloseDb();
    opened = OpenDb();
  }
  healing_ = false;
  if (opened.has_value()) failed_ = false;
  return opened;
}

Result<void> RocksDatabase::Note(const rocksdb::Status& status, std::string_view what) {
  if (status.ok()) return {};
  failed_ = true;
  return FromRocks(status, what);
}

}  // namespace signum
