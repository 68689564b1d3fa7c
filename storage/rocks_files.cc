#include "storage/rocks_files.h"

#include <rocksdb/db.h>
#include <rocksdb/file_checksum.h>
#include <rocksdb/metadata.h>
#include <rocksdb/utilities/checkpoint.h>

#include <algorithm>
#include <map>

#include "storage/file_checksum.h"
#include "storage/rocks_blobs.h"
#include "storage/rocks_log_file.h"

namespace signum {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kChecksumName = "FileChecksumCrc32c";

std::string ChecksumOf(const rocksdb::LiveFileMetaData& file) {
  if (file.file_checksum_func_name != kChecksumName) return "";
  return HexEncode(AsBytes(file.file_checksum));
}

// Checksums by file name, of the files that are live now.
void AddChecksums(RocksDatabase::Session& session, std::map<std::string, std::string>& checksums) {
  std::vector<rocksdb::LiveFileMetaData> files;
  session.db().GetLiveFilesMetaData(&files);
  for (const auto& file : files) checksums.emplace(file.relative_filename, ChecksumOf(file));
}

// Whether a file is as it was written; a log, which grows, as far as it goes.
Result<void> CheckFile(const fs::path& path, const EngineFile& file,
                       const std::function<bool(uint64_t)>& progress) {
  if (path.filename() == "CURRENT") return CheckRocksCurrent(path.parent_path());
  if (path.extension() != ".sst") return CheckRocksLog(path);
  SIGNUM_ASSIGN(const CheckedFile read, ChecksumFile(path, progress));
  if (read.size != file.size) return Fail(Errc::kCorrupt, "file_damaged", "has another size");
  if (file.crc32c.empty() || read.crc32c == file.crc32c) return {};
  return Fail(Errc::kCorrupt, "file_damaged", "has another checksum than was recorded");
}

}  // namespace

Result<void> CompactRocksKeys(RocksDatabase& database, std::string_view begin,
                              std::string_view end) {
  SIGNUM_TRY(database.Heal());
  SIGNUM_ASSIGN(const auto session, database.Use());
  const rocksdb::Slice first(begin.data(), begin.size());
  const rocksdb::Slice last(end.data(), end.size());
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  return database.Note(session.db().CompactRange(options, session.keys(), &first, &last),
                       "compact the keys");
}

Result<std::vector<EngineFile>> ListRocksFiles(RocksDatabase& database) {
  SIGNUM_ASSIGN(const auto session, database.Use());
  std::vector<rocksdb::LiveFileMetaData> live;
  session.db().GetLiveFilesMetaData(&live);
  std::vector<EngineFile> files;
  for (const auto& file : live) {
    EngineFile& added = files.emplace_back();
    added.name = "db/" + file.relative_filename;
    added.size = file.size;
    added.crc32c = ChecksumOf(file);
    if (file.column_family_name == session.blobs()->GetName()) {
      added.blob = BlobOfKey(file.smallestkey);
    }
  }
  const fs::path directory = database.directory() / "db";
  SIGNUM_ASSIGN(auto others, ListRocksLogs(directory));
  others.push_back(directory / "CURRENT");
  for (const fs::path& path : others) {
    std::error_code gone;
    const auto size = fs::file_size(path, gone);
    if (!gone) files.push_back({"db/" + path.filename().string(), size, "", {}});
  }
  std::sort(files.begin(), files.end(),
            [](const EngineFile& a, const EngineFile& b) { return a.name < b.name; });
  return files;
}

Result<void> VerifyRocksFile(RocksDatabase& database, const EngineFile& file,
                             const std::function<bool(uint64_t)>& progress) {
  const auto checked = CheckFile(database.directory() / file.name, file, progress);
  if (checked.has_value() || checked.error().code == Errc::kCancelled) return checked;
  SIGNUM_ASSIGN(const auto live, ListRocksFiles(database));  // or replaced by a compaction since
  const bool still = std::any_of(live.begin(), live.end(),
                                 [&](const EngineFile& each) { return each.name == file.name; });
  if (!still) return Fail(Errc::kNotFound, "unknown_file", "the store has no file " + file.name);
  return Fail(Errc::kCorrupt, "file_damaged", "file " + file.name + ": " + checked.error().message);
}

// Metadata of files is read before and after the cut: a file of the cut that neither names has no
// checksum here, and whoever copies it takes what it reads.
Result<std::vector<SnapshotFile>> SnapshotRocks(RocksDatabase& database,
                                                const fs::path& directory) {
  SIGNUM_TRY(database.Heal());
  std::map<std::string, std::string> checksums;
  {
    SIGNUM_ASSIGN(auto session, database.Use());
    AddChecksums(session, checksums);
    rocksdb::Checkpoint* made = nullptr;
    const rocksdb::Status created = rocksdb::Checkpoint::Create(&session.db(), &made);
    const std::unique_ptr<rocksdb::Checkpoint> checkpoint(made);
    if (!created.ok()) return FromRocks(created, "snapshot");
    const std::unique_lock no_ingest(database.ingests());
    SIGNUM_TRY(database.Note(checkpoint->CreateCheckpoint(directory.string()), "snapshot"));
    AddChecksums(session, checksums);
  }
  std::vector<SnapshotFile> files;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    SnapshotFile& file = files.emplace_back();
    file.name = entry.path().filename().string();
    file.size = entry.file_size();
    file.immutable = entry.path().extension() == ".sst";
    if (const auto at = checksums.find(file.name); at != checksums.end()) file.crc32c = at->second;
  }
  if (error) return FromErrno(error.value(), "list " + directory.string());
  std::sort(files.begin(), files.end(),
            [](const SnapshotFile& a, const SnapshotFile& b) { return a.name < b.name; });
  return files;
}

}  // namespace signum
