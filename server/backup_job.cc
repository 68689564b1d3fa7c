#include <nlohmann/json.hpp>

#include "server/maintenance_jobs.h"

namespace signum {

using nlohmann::json;

json BackupResource(const BackupIndex& backup) {
  return {{"id", backup.id},
          {"created", backup.created},
          {"files", backup.files.size()},
          {"bytes", backup.TotalBytes()},
          {"added_bytes", backup.added_bytes}};
}

// Staged uploads, temporary files and states of trainings stay out: whoever restores begins these
// anew.
Result<std::string> RunBackupJob(const MaintenanceContext& context, const JobRecord& job,
                                 const JobSteps& steps) {
  const json request = json::parse(job.request_json);
  const std::filesystem::path directory = request.at("dir").get<std::string>();
  const auto& data = context.options.data;
  SIGNUM_ASSIGN(const auto backups, BackupDirectory::OpenForWriting(directory));
  // The next key comes first: where a rotation ends in between, the other file is the new key.
  const BackupDirectory::Source source{context.app.engine,
                                       data,
                                       data / "tmp" / "backup",
                                       {"signing.key.next", "signing.key", "admin.token"}};
  SIGNUM_ASSIGN(
      const BackupIndex backup,
      backups->Create(source, context.app.clock, [&](double done) { return steps("copy", done); }));
  if (const uint64_t keep = request.value("keep", uint64_t{0}); keep > 0) {
    SIGNUM_TRY(backups->KeepNewest(keep));
  }
  json result = BackupResource(backup);
  result["dir"] = directory.string();
  return result.dump();
}

}  // namespace signum
