#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "gpu/cuda_module.h"
#include "server/app.h"

namespace signum {

struct MaintenanceOptions {
  std::filesystem::path data;                       // the data directory
  std::chrono::seconds collect_every{600};          // 0: only when asked for
  std::chrono::seconds collect_grace{3600};         // how long what nothing names is kept
  std::chrono::seconds scrub_every{7 * 24 * 3600};  // 0: only when asked for
  uint64_t scrub_rate = 20'000'000;                 // bytes a second of those that nobody asked for
  // Of a repair that compresses again: as WorkerOptions.
  std::string device = "auto";
  int threads = 0;
  BackendOptions backend;
};

// Runs the store's own jobs: garbage collection, scrub and backup, each kind on a thread of its own
// so that a slow scrub holds up nothing, and queues collections and scrubs when they are due. The
// app outlives it.
class Maintenance {
 public:
  static Result<std::unique_ptr<Maintenance>> Start(App& app, const MaintenanceOptions& options);
  virtual ~Maintenance() = default;  // as Stop
  // Interrupts what runs; it is queued again for the next start. Returns when all threads ended.
  virtual void Stop() = 0;
};

}  // namespace signum
