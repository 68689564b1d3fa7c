#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "gpu/cuda_module.h"
#include "storage/base/clock.h"
#include "storage/base/result.h"
#include "storage/key_ring.h"

namespace signum {

class Catalog;
class ObjectStore;
class Uploads;

struct WorkerOptions {
  std::filesystem::path tmp_directory;    // DIR/tmp: delta files being made; emptied at start
  std::filesystem::path state_directory;  // DIR/training: what a killed training goes on from
  std::string device = "auto";            // as CompressOptions
  BackendOptions backend;                 // of the device
  int jobs = 1;                           // how many run at once
  int threads_per_job = 0;                // 0: one a core
};

// Where a job's training keeps its state.
inline std::filesystem::path StateFile(const WorkerOptions& options, const std::string& job) {
  return options.state_directory / (job + ".state");
}

// What a worker works with; all outlive it.
struct WorkerContext {
  const Clock& clock;
  ObjectStore& objects;
  Catalog& catalog;
  Uploads& uploads;
  const KeyRing& keys;
  const std::atomic<bool>* read_only = nullptr;  // while it is true no job begins
};

// Runs the queue of compression jobs on threads of its own. A job's phases are ingest, compress,
// verify and seal; each may be repeated, so a job that a dead process left behind is simply run
// again, without reading an upload twice that was ingested. What fails is written to the job and
// its version; but what the disk has no room for waits in the queue until there is more.
class Worker {
 public:
  // Empties the temporary directory, queues again what a dead process left running, and starts.
  static Result<std::unique_ptr<Worker>> Start(const WorkerContext& context,
                                               const WorkerOptions& options);
  virtual ~Worker() = default;  // as Stop
  // Stops claiming and interrupts running jobs within a second; they are queued again for the next
  // start. Returns when every thread has ended.
  virtual void Stop() = 0;
};

}  // namespace signum
