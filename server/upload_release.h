#pragma once

#include <string>

#include "storage/base/result.h"
#include "storage/catalog.h"
#include "storage/uploads.h"

namespace signum {

// What becomes of an upload whose version did not come to be: a cancelled one is dropped, after a
// failure it waits, until it expires, for another try. An upload that is gone already is no error;
// others are logged.
void ReleaseUpload(Uploads& uploads, const std::string& upload, JobState ended);

// Lets go every pinned upload that no unfinished version is being made from: a process died between
// the two, or the catalog gave up the job. Reads every version: for the start of a worker, before
// anybody can ask for a new one.
Result<void> ReleaseDeadUploads(const Catalog& catalog, Uploads& uploads);

}  // namespace signum
