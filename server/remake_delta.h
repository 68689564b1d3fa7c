#pragma once

#include "server/maintenance_jobs.h"
#include "storage/scrub.h"

namespace signum {

// Makes damaged deltas again from their exact uploads, where these are kept and sound, and stores
// what comes out as it was: under the same digest. Compressing is deterministic, training too on
// one kind of machine and device; where other bytes come out nothing is stored. Says in the report
// what was repaired, and of the other deltas why not. Errc::kCancelled where `steps` says so.
Result<void> RemakeDeltas(const MaintenanceContext& context, ScrubReport& report,
                          const JobSteps& steps);

}  // namespace signum
