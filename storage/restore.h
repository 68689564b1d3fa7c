#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "storage/backup.h"
#include "storage/scrub.h"

namespace signum {

struct RestoreReport {
  BackupIndex backup;
  ScrubReport checked;
  uint64_t uploads = 0;  // unfinished ones that the backup knew of; their bytes were not in it
};

// Makes a data directory from a backup (the newest where `id` is nullopt), offline. `data` must not
// exist or be empty: kConflict "data_not_empty". It is put together beside, under
// "<data>.restoring", proved (every digest, reference, signature and the log) and only then renamed
// to `data`; what fails leaves `data` as it was. kCorrupt "backup_damaged" says what did not fit.
Result<RestoreReport> RestoreBackup(const std::filesystem::path& backups,
                                    std::optional<uint64_t> id, const std::filesystem::path& data,
                                    const ScrubProgress& progress = {});

}  // namespace signum
