#include "server/worker.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "gpu/distill/make_delta.h"
#include "server/compress_job.h"
#include "server/upload_release.h"
#include "storage/catalog.h"
#include "storage/object_store.h"
#include "storage/uploads.h"

namespace signum {
namespace {

// How often an idle worker looks without being told: only what another process queued needs it.
constexpr std::chrono::seconds kIdleLook{5};
constexpr std::chrono::seconds kRetry{1};
// How long a device stays open, with the base in its memory, for the next job.
constexpr std::chrono::minutes kIdleDevice{10};
// How much more must be free than when a job ran out of room, for another try (or all that it may
// write, where that is less).
constexpr uint64_t kMoreRoom = 64ull << 20;

Result<void> EmptyDirectory(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (!error) {
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
      std::filesystem::remove_all(entry.path(), error);
      if (error) break;
    }
  }
  if (!error) return {};
  return Fail(Errc::kUnavailable, "bad_tmp_directory", directory.string() + ": " + error.message());
}

// Training states that no job will go on from. A failed job's is kept as long as the job is known.
void RemoveDeadStates(const Catalog& catalog, const std::filesystem::path& directory) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
    const auto job = catalog.GetJob(entry.path().stem().string());
    const bool dead = job.has_error()
                          ? job.error().code == Errc::kNotFound
                          : job->state == JobState::kDone || job->state == JobState::kCancelled;
    std::error_code ignored;
    if (dead) std::filesystem::remove(entry.path(), ignored);
  }
}

class JobWorker final : public Worker {
 public:
  JobWorker(const WorkerContext& context, const WorkerOptions& options)
      : context_(context), options_(options) {
    watch_ = context_.catalog.WatchJobs([this](std::string_view) { Wake(); });
    for (int i = 0; i < options_.jobs; ++i) threads_.emplace_back([this] { Loop(); });
  }
  ~JobWorker() override { JobWorker::Stop(); }

  void Stop() override;

 private:
  void Wake();
  void Loop();
  bool RunOne();
  void Wait(uint64_t seen, std::chrono::seconds at_most);
  bool MayBegin(const JobRecord& job);
  bool WantsRoom(const JobRecord& job, const Error& error);
  void Release(const JobRecord& job);
  void PutBack(const JobRecord& job);
  void GiveUp(const JobRecord& claimed, const Error& error);
  void Insist(const JobRecord& job, std::string_view what,
              const std::function<Result<void>()>& write);
  Result<void> RecordFailure(const JobRecord& claimed, const Error& error);

  const WorkerContext context_;
  const WorkerOptions options_;
  DevicePool devices_;
  std::atomic<bool> stopping_ = false;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t wakes_ = 0;  // under mutex_: counts, so that no wake between claim and wait is lost
  std::map<std::string, uint64_t> wanted_;  // under mutex_: free bytes that a job waits for
  std::atomic<bool> told_ = false;          // the log: that jobs wait for room
  std::shared_ptr<void> watch_;
  std::vector<std::thread> threads_;
};

void JobWorker::Stop() {
  stopping_ = true;
  watch_.reset();
  Wake();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void JobWorker::Wake() {
  {
    const std::lock_guard lock(mutex_);
    ++wakes_;
  }
  changed_.notify_all();
}

void JobWorker::Wait(uint64_t seen, std::chrono::seconds at_most) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, at_most, [&] { return stopping_ || wakes_ != seen; });
}

void JobWorker::Loop() {
  while (!stopping_) {
    uint64_t seen = 0;
    {
      const std::lock_guard lock(mutex_);
      seen = wakes_;
    }
    if (RunOne()) continue;
    devices_.CloseIdle(kIdleDevice);
    Wait(seen, kIdleLook);
  }
}

// Not below what is kept free, nor while a job that ran out of room would find no more than then.
bool JobWorker::MayBegin(const JobRecord& job) {
  const auto space = context_.uploads.Space();
  if (space.has_error()) return true;  // running it will tell
  const std::lock_guard lock(mutex_);
  const auto wanted = wanted_.find(job.id);
  const bool room =
      space->free >= space->kept && (wanted == wanted_.end() || space->free >= wanted->second);
  if (room && wanted != wanted_.end()) wanted_.erase(wanted);
  if (told_.exchange(!room) == room) {
    room ? spdlog::info("jobs go on: {} bytes are free", space->free)
         : spdlog::warn("job {} waits for room: {} bytes are free", job.id, space->free);
  }
  return room;
}

// Whether a job that met a full disk met this one: a disk with room for all that it may write has
// another fault (a quota of the system, a file system of its own for DIR/tmp). Then it will begin
// again when more is free than now.
bool JobWorker::WantsRoom(const JobRecord& job, const Error& error) {
  if (error.reason != "disk_full") return false;
  const auto space = context_.uploads.Space();
  const auto version = context_.catalog.GetVersion(job.tenant, job.model, job.version);
  if (space.has_error() || version.has_error()) return false;
  const uint64_t most = 2 * version->upload_bytes;  // the exact tier, the delta and its copy in tmp
  if (space->free >= space->kept && space->free - space->kept >= most) return false;
  const std::lock_guard lock(mutex_);
  wanted_[job.id] = std::max(space->free, space->kept) + std::min(kMoreRoom, most);
  return true;
}

// False where no job waits that may begin.
bool JobWorker::RunOne() {
  if (context_.read_only != nullptr && *context_.read_only) return false;
  auto claimed =
      context_.catalog.ClaimJob([this](const JobRecord& waiting) { return MayBegin(waiting); });
  if (claimed.has_error()) spdlog::error("claiming a job: {}", claimed.error().message);
  if (claimed.has_error() || !*claimed) return false;
  const JobRecord job = **std::move(claimed);
  Result<void> made;
  std::optional<Error> stopped;
  {
    // What it stores is named by a record only at the end of a phase.
    const auto hold = context_.objects.HoldCollection();
    CompressJob run(context_, options_, devices_, job, stopping_);
    made = run.Run();
    stopped = run.stopped();
  }  // the temporary file is gone: what follows may need its room
  if (made.has_value()) {
    spdlog::info("job {}: {}/{}@{} is ready", job.id, job.tenant, job.model, job.version);
    return true;
  }
  const Error error = stopped ? *stopped : made.error();
  if (error.reason == "stopping") {
    Release(job);
  } else if (WantsRoom(job, error)) {
    PutBack(job);
  } else {
    GiveUp(job, error);
  }
  return true;
}

void JobWorker::Release(const JobRecord& job) {
  const auto released = context_.catalog.ReleaseJob(job.id);
  if (released.has_error()) {  // the next start queues it again all the same
    spdlog::warn("job {}: giving it back: {}", job.id, released.error().message);
  }
  spdlog::info("job {}: interrupted, goes on after the next start", job.id);
}

void JobWorker::PutBack(const JobRecord& job) {
  spdlog::warn("job {}: the disk is full; it waits for room", job.id);
  Insist(job, "giving it back", [&] { return context_.catalog.ReleaseJob(job.id); });
}

void JobWorker::GiveUp(const JobRecord& claimed, const Error& error) {
  spdlog::warn("job {}: {}/{}@{} failed: {}", claimed.id, claimed.tenant, claimed.model,
               claimed.version, error.message);
  Insist(claimed, "recording its failure", [&] { return RecordFailure(claimed, error); });
}

// What cannot be written (a full disk) is tried again until it can, or the worker stops: a job must
// not stay "running" with nobody at it.
void JobWorker::Insist(const JobRecord& job, std::string_view what,
                       const std::function<Result<void>()>& write) {
  while (!stopping_) {
    const auto written = write();
    if (written.has_value()) return;
    spdlog::error("job {}: {}: {}", job.id, what, written.error().message);
    uint64_t seen = 0;
    {
      const std::lock_guard lock(mutex_);
      seen = wakes_;
    }
    Wait(seen, kRetry);
  }
}

Result<void> JobWorker::RecordFailure(const JobRecord& claimed, const Error& error) {
  SIGNUM_ASSIGN(JobRecord job, context_.catalog.GetJob(claimed.id));
  job.state = error.code == Errc::kCancelled ? JobState::kCancelled : JobState::kFailed;
  job.error_reason = error.reason;
  job.error_message = error.message;
  job.finished = context_.clock.Now();
  SIGNUM_ASSIGN(VersionRecord version,
                context_.catalog.GetVersion(job.tenant, job.model, job.version));
  version.state = VersionState::kFailed;
  version.error_reason = error.reason;
  version.error_message = error.message;
  version.finished = job.finished;
  // First, so that who sees the failure can try again at once; cut off here, the job runs again.
  if (!version.upload.empty() && job.state == JobState::kFailed) {
    ReleaseUpload(context_.uploads, version.upload, job.state);
  }
  SIGNUM_TRY(context_.catalog.FinishVersion(version, job));
  if (!version.upload.empty() && job.state == JobState::kCancelled) {
    ReleaseUpload(context_.uploads, version.upload, job.state);
  }
  if (job.state == JobState::kCancelled) {
    std::error_code ignored;  // it may never have been made
    std::filesystem::remove(StateFile(options_, job.id), ignored);
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Worker>> Worker::Start(const WorkerContext& context,
                                              const WorkerOptions& options) {
  SIGNUM_TRY(EmptyDirectory(options.tmp_directory));
  SIGNUM_ASSIGN(const size_t requeued, context.catalog.RequeueRunningJobs());
  if (requeued > 0) spdlog::info("{} jobs of a stopped process go on", requeued);
  SIGNUM_TRY(ReleaseDeadUploads(context.catalog, context.uploads));
  RemoveDeadStates(context.catalog, options.state_directory);
  return std::make_unique<JobWorker>(context, options);
}

}  // namespace signum
