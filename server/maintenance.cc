#include "server/maintenance.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "server/maintenance_jobs.h"
#include "server/metrics.h"
#include "server/phase_reporter.h"

namespace signum {
namespace {

using std::chrono::steady_clock;

using RunJob = Result<std::string> (*)(const MaintenanceContext&, const JobRecord&,
                                       const JobSteps&);
struct Kind {
  std::string_view name;
  RunJob run;
};
constexpr std::array<Kind, 3> kKinds = {
    {{"gc", RunCollectJob}, {"scrub", RunScrubJob}, {"backup", RunBackupJob}}};

constexpr std::chrono::seconds kIdleLook{1};
constexpr uint64_t kParts = 1000;  // of a phase, in which progress is told
// A store that was never scrubbed gets its first scrub when it has been up for so long.
constexpr std::chrono::seconds kFirstScrub{3600};

class StoreMaintenance final : public Maintenance {
 public:
  StoreMaintenance(App& app, const MaintenanceOptions& options, std::unique_ptr<StoreClock> clock)
      : app_(app),
        options_(options),
        clock_(std::move(clock)),
        collector_(app.engine, app.objects, app.catalog, *clock_),
        wall_began_(app.clock.Now()),
        context_{app_, options_, collector_, [this] { return Now(); }} {
    watch_ = app_.catalog.WatchJobs([this](std::string_view) { Wake(); });
    for (const Kind& kind : kKinds) threads_.emplace_back([this, &kind] { Loop(kind); });
    threads_.emplace_back([this] { Schedule(); });
  }
  ~StoreMaintenance() override { StoreMaintenance::Stop(); }

  void Stop() override {
    stopping_ = true;
    watch_.reset();
    Wake();
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  steady_clock::duration Up() const { return steady_clock::now() - began_; }
  UnixMicros Now() const {
    return wall_began_ + std::chrono::duration_cast<std::chrono::microseconds>(Up()).count();
  }

  void Wake() {
    {
      const std::lock_guard lock(mutex_);
      ++wakes_;
    }
    changed_.notify_all();
  }
  uint64_t Seen() {
    const std::lock_guard lock(mutex_);
    return wakes_;
  }
  void Wait(uint64_t seen) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, kIdleLook, [&] { return stopping_ || wakes_ != seen; });
  }

  void Loop(const Kind& kind) {
    while (!stopping_) {
      const uint64_t seen = Seen();
      if (app_.read_only) {
        Wait(seen);
        continue;
      }
      auto claimed = app_.catalog.ClaimSystemJob(kind.name);
      if (claimed.has_error()) spdlog::error("claiming a job: {}", claimed.error().message);
      if (claimed.has_value() && *claimed) {
        RunOne(kind, **std::move(claimed));
      } else {
        Wait(seen);
      }
    }
  }

  void RunOne(const Kind& kind, JobRecord job) {
    PhaseReporter reporter(app_.catalog, job.id, stopping_);
    std::string phase;
    const auto steps = [&](std::string_view now, double done) {
      if (phase != now) {
        phase = now;
        reporter.Begin(phase, 0, 1, kParts);
      }
      return reporter.Step(static_cast<uint64_t>(done * static_cast<double>(kParts)));
    };
    const auto result = kind.run(context_, job, steps);
    std::optional<Error> error = reporter.Why();
    if (result.has_value()) {
      error.reset();
    } else if (!error) {
      error = result.error();
    }
    if (error && error->reason == "stopping") {
      static_cast<void>(app_.catalog.ReleaseJob(job.id));  // else the next start does
      return;
    }
    job.state = JobState::kDone;
    job.phase = "done";
    if (result.has_value()) {
      job.result_json = *result;
    } else {
      job.state = error->code == Errc::kCancelled ? JobState::kCancelled : JobState::kFailed;
      job.phase = phase;
      job.error_reason = error->reason;
      job.error_message = error->message;
    }
    Finish(job);
  }

  // A full disk may not take it at once.
  void Finish(const JobRecord& job) {
    app_.metrics.CountMaintenance(job.kind, JobStateName(job.state), app_.clock.Now());
    if (job.state == JobState::kFailed) {
      spdlog::error("{} job {}: {}", job.kind, job.id, job.error_message);
    } else {
      spdlog::info("{} job {}: {}", job.kind, job.id, JobStateName(job.state));
    }
    while (!stopping_) {
      const auto finished = app_.catalog.FinishSystemJob(job);
      if (finished.has_value()) return;
      spdlog::error("job {}: recording its end: {}", job.id, finished.error().message);
      Wait(Seen());
    }
  }

  // ---- what is due

  void Schedule() {
    steady_clock::time_point collected = began_;
    while (!stopping_) {
      const auto now = steady_clock::now();
      if (app_.read_only) {
        Wait(Seen());
        continue;
      }
      if (options_.collect_every.count() > 0 && now - collected >= options_.collect_every) {
        collected = now;
        Queue("gc", "{}");
      }
      if (options_.scrub_every.count() > 0 && ScrubIsDue()) {
        Queue("scrub", nlohmann::json({{"rate", options_.scrub_rate}}).dump());
      }
      Wait(Seen());
    }
  }

  // The store's records tell when it was scrubbed last: restarts do not begin the time anew.
  bool ScrubIsDue() {
    if (steady_clock::now() < next_scrub_look_) return false;
    next_scrub_look_ = steady_clock::now() + std::chrono::seconds(60);
    const auto jobs = app_.catalog.ListSystemJobs();
    if (jobs.has_error()) return false;
    UnixMicros last = 0;
    for (const JobRecord& job : *jobs) {
      if (job.kind == "scrub") last = std::max(last, job.created);
    }
    const auto every = std::chrono::microseconds(options_.scrub_every).count();
    if (last == 0)
      return Up() >= std::min<steady_clock::duration>(kFirstScrub, options_.scrub_every);
    return Now() - last >= every;
  }

  // Not beside one that waits or runs.
  void Queue(const std::string& kind, const std::string& request) {
    const auto jobs = app_.catalog.ListSystemJobs();
    if (jobs.has_error()) return;
    for (const JobRecord& job : *jobs) {
      const bool open = job.state == JobState::kQueued || job.state == JobState::kRunning;
      if (open && job.kind == kind) return;
    }
    const auto queued = app_.catalog.CreateSystemJob(kind, request);
    if (queued.has_error()) spdlog::error("queueing a {} job: {}", kind, queued.error().message);
  }

  App& app_;
  const MaintenanceOptions options_;
  const std::unique_ptr<StoreClock> clock_;
  Collector collector_;
  const UnixMicros wall_began_;
  const steady_clock::time_point began_ = steady_clock::now();
  const MaintenanceContext context_;
  steady_clock::time_point next_scrub_look_;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t wakes_ = 0;  // under mutex_
  std::shared_ptr<void> watch_;
  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<Maintenance>> Maintenance::Start(App& app,
                                                        const MaintenanceOptions& options) {
  SIGNUM_ASSIGN(auto clock, StoreClock::Open(app.engine));
  return std::unique_ptr<Maintenance>(
      std::make_unique<StoreMaintenance>(app, options, std::move(clock)));
}

}  // namespace signum
