#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "storage/base/result.h"
#include "storage/catalog.h"

namespace signum {

// Tells the catalog how far a running job is, at most ten times a second, and learns from it
// whether the job is to stop. Used by one thread.
class PhaseReporter {
 public:
  PhaseReporter(Catalog& catalog, std::string job, const std::atomic<bool>& stopping)
      : catalog_(catalog), job_(std::move(job)), stopping_(stopping) {}

  // The next phase, which takes the job from fraction `from` to `to` while `total` bytes are read.
  void Begin(std::string_view phase, double from, double to, uint64_t total);
  // `done` bytes of the phase. False: stop, see Why().
  bool Step(uint64_t done);
  // What a training's newest step lost; shown with the next report.
  void Loss(double loss) { loss_ = loss; }
  // The same without waiting for its turn: the last look before what cannot be taken back.
  bool StepNow(uint64_t done);

  // Why a step said to stop: kCancelled "cancelled" at the caller's wish, kUnavailable "stopping"
  // where the worker is being stopped, or what the catalog answered. nullopt: no step did.
  const std::optional<Error>& Why() const { return why_; }

 private:
  using SteadyTime = std::chrono::steady_clock::time_point;
  void Report(uint64_t done, SteadyTime now);

  Catalog& catalog_;
  const std::string job_;
  const std::atomic<bool>& stopping_;
  std::optional<Error> why_;
  std::string phase_;
  double from_ = 0, to_ = 0;
  std::optional<double> loss_;
  uint64_t total_ = 0;
  SteadyTime phase_began_, reported_;
  std::optional<SteadyTime> job_began_;
  double job_began_at_ = 0;  // the fraction this attempt began with
};

}  // namespace signum
