#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "storage/base/clock.h"
#include "storage/base/file.h"
#include "storage/engine.h"
#include "storage/format/backup_index.h"

namespace signum {

// Fraction done; false stops it with kCancelled "cancelled".
using BackupProgress = std::function<bool(double)>;

// A directory of backups:
//   lock               held by who writes
//   backups/<id>.json  index of one backup; written last, so a backup is whole or not there
//   files/             what the indexes name. Immutable files are named by checksum and size and
//                      are shared by all backups that have them
// A backup is a data directory as it was at one moment: the engine's snapshot and the files beside
// it. One process at a time writes; readers need no lock.
class BackupDirectory {
 public:
  // Opens one, or makes it. kUnavailable "backup_busy" while another process writes there.
  static Result<std::unique_ptr<BackupDirectory>> OpenForWriting(const std::filesystem::path& path);

  struct Source {
    Engine& engine;
    std::filesystem::path data;            // the data directory
    std::filesystem::path scratch;         // on the same disk; for links that live while it copies
    std::vector<std::string> other_files;  // below `data`; those that are there are taken along
  };
  // Copies what no earlier backup has, each file checked against the checksum that the engine
  // recorded when it wrote it (kCorrupt "file_damaged"), and read back. The store goes on
  // meanwhile.
  Result<BackupIndex> Create(const Source& source, const Clock& clock,
                             const BackupProgress& progress = {});
  // Removes all but the newest `keep` backups, and the files that only they had.
  Result<void> KeepNewest(size_t keep);

 private:
  BackupDirectory(std::filesystem::path path, File lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}
  class Writer;

  const std::filesystem::path path_;
  File lock_;
};

// Oldest first. kNotFound "no_backups" where the directory holds none.
Result<std::vector<BackupIndex>> ListBackups(const std::filesystem::path& path);
// `id` nullopt: the newest. kNotFound "unknown_backup".
Result<BackupIndex> FindBackup(const std::filesystem::path& path, std::optional<uint64_t> id);

// Puts a backup's files into `target`, which must not exist: copies, each checked, or symbolic
// links to the immutable ones (for looking at a backup; what is written there leaves the backup
// alone).
Result<void> UnpackBackup(const std::filesystem::path& path, const BackupIndex& backup,
                          const std::filesystem::path& target, bool link,
                          const BackupProgress& progress = {});

}  // namespace signum
