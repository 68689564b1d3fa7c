#include "storage/backup.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <set>
#include <utility>

#include "storage/base/directory_lock.h"
#include "storage/file_checksum.h"

namespace signum {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxIndexBytes = 1ull << 30;
constexpr std::string_view kStore =
    "store/db/";  // where the engine's files lie in a data directory

fs::path IndexPath(const fs::path& directory, uint64_t id) {
  char name[32];
  std::snprintf(name, sizeof name, "%020llu.json", static_cast<unsigned long long>(id));
  return directory / "backups" / name;
}

Result<void> MakeDirectories(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return FromErrno(error.value(), "create " + path.string());
  return {};
}

Result<void> Remove(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) return FromErrno(error.value(), "remove " + path.string());
  return {};
}

Result<mode_t> ModeOf(const fs::path& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return FromErrno(errno, path.string());
  return status.st_mode & 0777;
}

Error Damaged(const fs::path& path, std::string_view why) {
  return Fail(Errc::kCorrupt, "file_damaged", path.string() + " " + std::string(why));
}

Result<void> CheckCopy(const fs::path& path, const CheckedFile& read, const BackupFile& expected) {
  if (read.size == expected.size && read.crc32c == expected.crc32c) return {};
  return Damaged(path, "does not have the size and checksum that were recorded for it");
}

// What is done of a whole, in bytes.
class Share {
 public:
  Share(const BackupProgress& progress, uint64_t total) : progress_(progress), total_(total) {}

  // For one file of `size` bytes that is read `times` times.
  FileProgress Next() {
    return [this, base = done_](uint64_t bytes) { return Show(base + bytes); };
  }
  void Add(uint64_t bytes) { done_ += bytes; }

 private:
  bool Show(uint64_t done) const {
    const auto total = static_cast<double>(std::max<uint64_t>(total_, 1));
    return !progress_ || progress_(std::min(1.0, static_cast<double>(done) / total));
  }
  const BackupProgress& progress_;
  const uint64_t total_;
  uint64_t done_ = 0;
};

}  // namespace

Result<std::unique_ptr<BackupDirectory>> BackupDirectory::OpenForWriting(const fs::path& path) {
  SIGNUM_TRY(MakeDirectories(path / "backups"));
  SIGNUM_TRY(MakeDirectories(path / "files"));
  // It holds the key that signs manifests.
  std::error_code error;
  fs::permissions(path, fs::perms::owner_all, error);
  if (error) return FromErrno(error.value(), path.string());
  SIGNUM_ASSIGN(File lock, LockDirectory(path, "backup_busy",
                                         "another process writes a backup to " + path.string()));
  return std::unique_ptr<BackupDirectory>(new BackupDirectory(path, std::move(lock)));
}

// One backup being made.
class BackupDirectory::Writer {
 public:
  Writer(const fs::path& path, const Source& source, const BackupProgress& progress)
      : path_(path), source_(source), progress_(progress) {}

  Result<BackupIndex> Run(const Clock& clock) {
    SIGNUM_ASSIGN(const uint64_t newest, NewestId());
    index_.id = newest + 1;
    index_.created = FormatTime(clock.Now());
    SIGNUM_TRY(Remove(source_.scratch));  // of a process that died
    SIGNUM_TRY(MakeDirectories(source_.scratch.parent_path()));
    const auto copied = CopyAll();
    const auto removed = Remove(source_.scratch);
    SIGNUM_TRY(copied);
    SIGNUM_TRY(removed);
    std::sort(index_.files.begin(), index_.files.end(),
              [](const BackupFile& a, const BackupFile& b) { return a.path < b.path; });
    SIGNUM_TRY(SyncDirectory(path_ / "files"));
    SIGNUM_TRY(
        WriteFileAtomically(IndexPath(path_, index_.id), AsBytes(index_.Serialize()), kSecretMode));
    return std::move(index_);
  }

 private:
  Result<uint64_t> NewestId() const {
    const auto backups = ListBackups(path_);
    if (backups.has_value()) return backups->back().id;
    if (backups.error().code != Errc::kNotFound) return backups.error();
    return 0;
  }

  Result<void> CopyAll() {
    SIGNUM_ASSIGN(const auto files, source_.engine.Snapshot(source_.scratch.string()));
    uint64_t total = 0;
    for (const SnapshotFile& file : files) total += file.size;
    Share share(progress_, 2 * total);
    for (const SnapshotFile& file : files) {
      SIGNUM_TRY(Take(source_.scratch / file.name, std::string(kStore) + file.name,
                      file.immutable ? file.crc32c : "", file.immutable, share));
    }
    for (const std::string& name : source_.other_files) {
      if (fs::exists(source_.data / name)) {
        SIGNUM_TRY(Take(source_.data / name, name, "", false, share));
      }
    }
    return {};
  }

  // Copies a file unless an immutable one of its checksum is there.
  Result<void> Take(const fs::path& from, const std::string& path, std::string crc32c,
                    bool immutable, Share& share) {
    BackupFile file;
    file.path = path;
    SIGNUM_ASSIGN(file.mode, ModeOf(from));
    std::error_code error;
    file.size = fs::file_size(from, error);
    if (error) return FromErrno(error.value(), from.string());
    if (immutable && crc32c.empty()) {  // the engine did not tell
      SIGNUM_ASSIGN(const CheckedFile read, ChecksumFile(from));
      crc32c = read.crc32c;
    }
    file.crc32c = std::move(crc32c);
    const std::string name = from.filename().string();
    file.stored = immutable ? file.crc32c + "-" + std::to_string(file.size) + "-" + name
                            : std::to_string(index_.id) + "-" + name;
    const fs::path to = path_ / "files" / file.stored;
    const bool there = immutable && fs::file_size(to, error) == file.size && !error;
    if (!there) {
      SIGNUM_TRY(Copy(from, to, file, share));
      index_.added_bytes += file.size;
    }
    share.Add(2 * file.size);
    index_.files.push_back(std::move(file));
    return {};
  }

  // Under another name until it is known to be right: what is there under its own is whole.
  Result<void> Copy(const fs::path& from, const fs::path& to, BackupFile& file, Share& share) {
    fs::path partial = to;
    partial += ".partial";
    const auto progress = share.Next();
    SIGNUM_ASSIGN(const CheckedFile read, CopyFileChecked(from, partial, kSecretMode, progress));
    if (file.crc32c.empty()) file.crc32c = read.crc32c;
    SIGNUM_TRY(CheckCopy(from, read, file));
    SIGNUM_ASSIGN(const CheckedFile back, ChecksumFile(partial, [&](uint64_t bytes) {
                    return progress(file.size + bytes);
                  }));
    SIGNUM_TRY(CheckCopy(partial, back, file));
    if (::rename(partial.c_str(), to.c_str()) != 0) return FromErrno(errno, to.string());
    return {};
  }

  const fs::path& path_;
  const Source& source_;
  const BackupProgress& progress_;
  BackupIndex index_;
};

Result<BackupIndex> BackupDirectory::Create(const Source& source, const Clock& clock,
                                            const BackupProgress& progress) {
  return Writer(path_, source, progress).Run(clock);
}

Result<void> BackupDirectory::KeepNewest(size_t keep) {
  SIGNUM_ASSIGN(const auto backups, ListBackups(path_));
  std::set<std::string> named;
  for (size_t i = 0; i < backups.size(); ++i) {
    if (i + keep < backups.size()) {
      SIGNUM_TRY(Remove(IndexPath(path_, backups[i].id)));
      continue;
    }
    for (const BackupFile& file : backups[i].files) named.insert(file.stored);
  }
  SIGNUM_TRY(SyncDirectory(path_ / "backups"));  // before what they name goes
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(path_ / "files", error)) {
    if (!named.contains(entry.path().filename().string())) SIGNUM_TRY(Remove(entry.path()));
  }
  if (error) return FromErrno(error.value(), "list " + (path_ / "files").string());
  return {};
}

Result<std::vector<BackupIndex>> ListBackups(const fs::path& path) {
  std::vector<fs::path> names;
  std::error_code error;
  for (fs::directory_iterator it(path / "backups", error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == ".json") names.push_back(it->path());
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return FromErrno(error.value(), "list " + path.string());
  }
  if (names.empty()) {
    return Fail(Errc::kNotFound, "no_backups", "there are no backups in " + path.string());
  }
  std::sort(names.begin(), names.end());
  std::vector<BackupIndex> backups;
  for (const fs::path& name : names) {
    SIGNUM_ASSIGN(const std::string text, ReadFile(name, kMaxIndexBytes));
    auto index = BackupIndex::Parse(text);
    if (index.has_error()) {
      return Fail(Errc::kCorrupt, "bad_backup", name.string() + ": " + index.error().message);
    }
    backups.push_back(*std::move(index));
  }
  return backups;
}

Result<BackupIndex> FindBackup(const fs::path& path, std::optional<uint64_t> id) {
  SIGNUM_ASSIGN(auto backups, ListBackups(path));
  if (!id) return std::move(backups.back());
  for (BackupIndex& backup : backups) {
    if (backup.id == *id) return std::move(backup);
  }
  return Fail(Errc::kNotFound, "unknown_backup",
              "there is no backup " + std::to_string(*id) + " in " + path.string());
}

Result<void> UnpackBackup(const fs::path& path, const BackupIndex& backup, const fs::path& target,
                          bool link, const BackupProgress& progress) {
  std::error_code error;
  if (fs::exists(target, error)) {
    return Fail(Errc::kConflict, "target_exists", target.string() + " exists");
  }
  const fs::path source = fs::absolute(path) / "files";
  std::set<fs::path> folders{target};
  Share share(progress, backup.TotalBytes());
  for (const BackupFile& file : backup.files) {
    const fs::path to = target / file.path;
    for (fs::path folder = to.parent_path(); folder != target; folder = folder.parent_path()) {
      folders.insert(folder);
    }
    SIGNUM_TRY(MakeDirectories(to.parent_path()));
    if (link && to.extension() == ".sst") {
      fs::create_symlink(source / file.stored, to, error);
      if (error) return FromErrno(error.value(), "link " + to.string());
    } else {
      SIGNUM_ASSIGN(const CheckedFile read,
                    CopyFileChecked(source / file.stored, to, file.mode, share.Next()));
      SIGNUM_TRY(CheckCopy(source / file.stored, read, file));
    }
    share.Add(file.size);
  }
  for (const fs::path& folder : folders) SIGNUM_TRY(SyncDirectory(folder));
  return {};
}

}  // namespace signum
