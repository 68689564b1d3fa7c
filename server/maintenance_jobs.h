#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "server/maintenance.h"
#include "storage/backup.h"
#include "storage/collector.h"

// What each kind of the store's own jobs does: takes the job, whose request its handler has
// checked, and returns its result, a JSON object. Each may be run again from the start after a
// crash.

namespace signum {

struct MaintenanceContext {
  App& app;
  const MaintenanceOptions& options;
  Collector& collector;
  std::function<UnixMicros()> now;  // the wall clock, without its jumps
};

// How far a job is. False: stop, with any error.
using JobSteps = std::function<bool(std::string_view phase, double done)>;

Result<std::string> RunCollectJob(const MaintenanceContext& context, const JobRecord& job,
                                  const JobSteps& steps);
Result<std::string> RunScrubJob(const MaintenanceContext& context, const JobRecord& job,
                                const JobSteps& steps);
Result<std::string> RunBackupJob(const MaintenanceContext& context, const JobRecord& job,
                                 const JobSteps& steps);

// One backup as the interface shows it.
nlohmann::json BackupResource(const BackupIndex& backup);

}  // namespace signum
