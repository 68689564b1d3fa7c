#pragma once

#include <string>

#include "server/app.h"
#include "tests/server/fixture.h"

namespace signum::test {

// A service whose jobs stay queued until the test ends them.
ServiceOptions NoWorker(bool auth = true, const Clock* clock = nullptr);

// A version that is queued, and one that is ready: as the worker leaves it, but without any bytes.
VersionRecord QueueVersion(App& app, const std::string& tenant, const std::string& model);
VersionRecord ReadyVersion(App& app, const std::string& tenant, const std::string& model);

// Ends the job of a queued version as done.
VersionRecord FinishQueued(App& app);
// The same for a job that was claimed.
VersionRecord Finish(App& app, JobRecord job);

}  // namespace signum::test
