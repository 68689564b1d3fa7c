#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <future>
#include <mutex>
#include <thread>

#include "storage/base/file.h"
#include "tests/server/fixture.h"
#include "tests/server/models.h"

namespace signum::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

constexpr auto kModel = "/v1/tenants/acme/models/chat";

// Holds the worker at the beginning of a phase of its job until it is let go.
class PhaseTrap {
 public:
  PhaseTrap(Catalog& catalog, std::string phase) : phase_(std::move(phase)) {
    watch_ = catalog.WatchJobs([this, &catalog](std::string_view id) {
      const auto job = catalog.GetJob(id);
      if (job.has_value() && job->state == JobState::kRunning && job->phase == phase_) Hold();
    });
  }
  ~PhaseTrap() {
    Release();
    watch_.reset();
  }

  [[nodiscard]] bool WaitUntilHeld() {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60), [&] { return held_; });
  }
  void Release() {
    const std::lock_guard lock(mutex_);
    released_ = true;
    changed_.notify_all();
  }

 private:
  void Hold() {
    std::unique_lock lock(mutex_);
    if (held_) return;  // once: later reports pass
    held_ = true;
    changed_.notify_all();
    changed_.wait_for(lock, std::chrono::seconds(60), [&] { return released_; });
  }

  const std::string phase_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false, released_ = false;
  std::shared_ptr<void> watch_;
};

class WorkerTest : public testing::TestWithParam<const char*> {
 protected:
  WorkerTest() : token_(service_.NewToken(Role::kPublisher, {"acme"})) {
    CreateBase(service_.admin(), "small", MakeSmall({}));
  }
  json PushOne(const json& extra = json::object()) {
    return Push(Publisher(), kModel, "small", MakeSmall({.seed = 1}), extra);
  }
  json Wait(const json& pushed) { return WaitForVersion(Publisher(), pushed); }
  // A restart takes another port.
  Client Publisher() const { return {service_.port(), token_}; }
  Catalog& catalog() { return service_.app().catalog; }
  bool TmpIsEmpty() const { return std::filesystem::is_empty(service_.directory() / "tmp"); }
  JobRecord JobOf(const json& pushed) {
    return *catalog().GetJob(pushed["job"].get<std::string>());
  }

  Service service_{{.worker = false}};
  const std::string token_;
};

INSTANTIATE_TEST_SUITE_P(Phases, WorkerTest,
                         testing::Values("ingest", "compress", "verify", "seal"),
                         [](const auto& phase) { return std::string(phase.param); });

TEST_P(WorkerTest, AStoppedWorkersJobGoesOnAtTheNextStart) {
  const json pushed = PushOne();
  {
    PhaseTrap trap(catalog(), GetParam());
    service_.StartWorker();
    ASSERT_TRUE(trap.WaitUntilHeld());
    auto stopped = std::async(std::launch::async, [&] { service_.StopWorker(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    trap.Release();
    ASSERT_EQ(stopped.wait_for(std::chrono::seconds(5)), std::future_status::ready);
  }
  EXPECT_NE(JobOf(pushed).state, JobState::kDone);
  EXPECT_NE(JobOf(pushed).state, JobState::kFailed);
  EXPECT_TRUE(TmpIsEmpty());
  service_.Restart();
  service_.StartWorker();
  const json version = Wait(pushed);
  ASSERT_EQ(version["state"], "ready") << version;
  EXPECT_EQ(version["version"], 1);

  const json undisturbed = Wait(PushOne());  // the same input gives the same bytes
  EXPECT_EQ(version["digest"], undisturbed["digest"]);
  EXPECT_EQ(version["files"], undisturbed["files"]);
}

TEST_P(WorkerTest, ACancelledJobEndsInEveryPhase) {
  const json pushed = PushOne();
  const std::string upload = catalog().GetVersion("acme", "chat", 1)->upload;
  PhaseTrap trap(catalog(), GetParam());
  service_.StartWorker();
  ASSERT_TRUE(trap.WaitUntilHeld());
  // Who watches jobs is told one at a time, so that the call returns only after the trap opened.
  auto cancelled =
      std::async(std::launch::async, [&] { return catalog().CancelJob(JobOf(pushed).id); });
  while (!JobOf(pushed).cancel_requested) std::this_thread::yield();
  const auto began = std::chrono::steady_clock::now();
  trap.Release();
  ASSERT_TRUE(cancelled.get().has_value());
  const json version = Wait(pushed);
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(1));
  EXPECT_EQ(version["state"], "failed");
  EXPECT_EQ(version["error"]["code"], "cancelled");
  EXPECT_EQ(JobOf(pushed).state, JobState::kCancelled);
  service_.StopWorker();
  EXPECT_TRUE(TmpIsEmpty());
  EXPECT_FALSE(std::filesystem::exists(service_.directory() / "uploads" / upload));
  EXPECT_EQ(Publisher().Delete(std::string(kModel) + "/versions/1").status, 204);
}

TEST_F(WorkerTest, AnIngestedUploadIsNotReadAgain) {
  const json pushed = PushOne();
  {
    PhaseTrap trap(catalog(), "compress");
    service_.StartWorker();
    ASSERT_TRUE(trap.WaitUntilHeld());
    auto stopped = std::async(std::launch::async, [&] { service_.StopWorker(); });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    trap.Release();
  }
  const VersionRecord record = *catalog().GetVersion("acme", "chat", 1);
  ASSERT_TRUE(record.recipe.has_value());
  ASSERT_TRUE(service_.app().uploads.Remove(record.upload).has_value());
  service_.StartWorker();
  EXPECT_EQ(Wait(pushed)["state"], "ready");
}

TEST_F(WorkerTest, LeftoversOfADeadProcessAreRemoved) {
  const auto tmp = service_.directory() / "tmp";
  std::filesystem::create_directories(tmp / "folder");
  const File left = *File::Open(tmp / "dead.delta", O_CREAT | O_WRONLY);
  ASSERT_TRUE(left.WriteAt(0, AsBytes("half a delta")).has_value());
  service_.StartWorker();
  EXPECT_TRUE(TmpIsEmpty());
}

TEST_F(WorkerTest, ProgressIsReportedAndEndsAtOne) {
  const json pushed = PushOne();
  std::mutex mutex;
  std::vector<std::pair<std::string, double>> seen;
  const auto watch = catalog().WatchJobs([&](std::string_view id) {
    const auto job = catalog().GetJob(id);
    const std::lock_guard lock(mutex);
    if (job.has_value()) seen.emplace_back(job->phase, job->progress);
  });
  service_.StartWorker();
  ASSERT_EQ(Wait(pushed)["state"], "ready");
  service_.StopWorker();
  const std::lock_guard lock(mutex);
  std::vector<std::string> phases;
  double last = 0;
  for (const auto& [phase, progress] : seen) {
    if (phases.empty() || phases.back() != phase) phases.push_back(phase);
    EXPECT_GE(progress, last);
    last = progress;
  }
  if (!phases.empty() && phases.front() == "queued") phases.erase(phases.begin());
  EXPECT_THAT(phases, testing::ElementsAre("ingest", "compress", "verify", "seal", "done"));
  EXPECT_EQ(last, 1.0);
}

TEST_F(WorkerTest, WhatFailsSaysWhyOnJobAndVersion) {
  const json pushed = PushOne();
  const std::string upload = catalog().GetVersion("acme", "chat", 1)->upload;
  ASSERT_TRUE(service_.app().uploads.Remove(upload).has_value());
  service_.StartWorker();
  const json version = Wait(pushed);
  EXPECT_EQ(version["state"], "failed");
  EXPECT_EQ(version["error"]["code"], "unknown_upload");
  EXPECT_EQ(JobOf(pushed).error_reason, "unknown_upload");
  EXPECT_EQ(version["aliases"], json::array());
  EXPECT_EQ(Publisher().Get(std::string(kModel) + "/versions/1/delta").status, 409);
}

TEST_F(WorkerTest, AFailedJobLeavesItsUploadForAnotherTry) {
  const std::filesystem::path tmp = service_.directory() / "tmp";
  const json pushed = PushOne();
  const std::string upload = catalog().GetVersion("acme", "chat", 1)->upload;
  {
    PhaseTrap trap(catalog(), "ingest");
    service_.StartWorker();
    ASSERT_TRUE(trap.WaitUntilHeld());
    std::filesystem::remove_all(tmp);  // nowhere to write the delta
  }
  const json version = Wait(pushed);
  ASSERT_EQ(version["state"], "failed") << version;
  std::filesystem::create_directory(tmp);
  const json again = {{"upload", upload}, {"base", "small"}};
  const Reply retried = Publisher().Post(std::string(kModel) + "/versions", again);
  ASSERT_EQ(retried.status, 202) << retried.body;
  EXPECT_EQ(Wait(retried.Json())["state"], "ready");
}

TEST_F(WorkerTest, AJobCancelledBeforeItRanDropsItsUpload) {
  const json pushed = PushOne();
  const std::string upload = catalog().GetVersion("acme", "chat", 1)->upload;
  const Reply cancelled = Publisher().Delete("/v1/jobs/" + pushed["job"].get<std::string>());
  EXPECT_EQ(cancelled.status, 200) << cancelled.body;
  EXPECT_EQ(Publisher().Get("/v1/uploads/" + upload).status, 404);

  // Where the catalog alone knew of it, the next start lets it expire; likewise a pin without
  // version.
  const json second = PushOne();
  const std::string left = catalog().GetVersion("acme", "chat", 2)->upload;
  ASSERT_TRUE(catalog().CancelJob(second["job"].get<std::string>()).has_value());
  Uploads& uploads = service_.app().uploads;
  const std::string orphan = Upload(Publisher(), MakeSmall({.seed = 2}));
  ASSERT_TRUE(uploads.Pin(orphan).has_value());
  const std::string needed = catalog().GetVersion("acme", "chat", PushOne()["version"])->upload;
  ASSERT_TRUE(uploads.Get(left)->pinned);
  {
    PhaseTrap trap(catalog(), "ingest");
    service_.StartWorker();
    ASSERT_TRUE(trap.WaitUntilHeld());
    EXPECT_EQ(*uploads.ListPinned(), std::vector<std::string>{needed});
  }
}

TEST_F(WorkerTest, JobsRunInTurn) {
  std::vector<json> pushed;
  for (int i = 0; i < 4; ++i) pushed.push_back(PushOne());
  service_.StartWorker();
  for (const json& each : pushed) EXPECT_EQ(Wait(each)["state"], "ready");
  EXPECT_EQ(Publisher().Get(std::string(kModel) + "/versions/latest").Json()["version"], 4);
  EXPECT_EQ(Publisher().Get(std::string(kModel) + "/versions/live").Json()["version"], 1);
}

TEST_F(WorkerTest, AnIdleWorkerWakesForANewJob) {
  service_.StartWorker();
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(Wait(PushOne())["state"], "ready");
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(4));
}

}  // namespace
}  // namespace signum::test
