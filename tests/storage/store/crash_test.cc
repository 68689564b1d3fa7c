// kill -9 at random moments: what was acknowledged is there, what was not is there wholly or not at
// all. SIGNUM_CRASH_ROUNDS sets how often (5 by default).

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <thread>

#include "storage/catalog.h"
#include "storage/object_store.h"
#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

namespace fs = std::filesystem;

// What the child tells once it is durable: which writer did which step, and what came of it.
struct Ack {
  uint32_t writer = 0;
  uint32_t step = 0;
  uint64_t result = 0;  // the blob of a kBlobs writer, the version of a kVersions one
};
enum Writer : uint32_t { kKeys = 0, kBlobs = 1, kObjects = 2, kVersions = 3, kWriters = 4 };

std::string BytesOf(uint32_t step) { return RandomBytes(70'000 + 30'011 * (step % 40), step + 1); }

std::string StepKey(uint32_t step, char part) { return "t/crash/x/" + std::to_string(step) + part; }

// Two keys in one batch: never one without the other.
Result<uint64_t> WriteKeys(Engine& engine, uint32_t step) {
  Batch batch;
  batch.Put(StepKey(step, 'a'), std::to_string(step));
  batch.Put(StepKey(step, 'b'), std::to_string(step));
  SIGNUM_TRY(engine.Commit(batch));
  return 0;
}

Result<uint64_t> WriteOneBlob(Engine& engine, uint32_t step) {
  SIGNUM_ASSIGN(const auto writer, engine.CreateBlob());
  SIGNUM_TRY(writer->Append(AsBytes(BytesOf(step))));
  return writer->Seal();
}

Result<uint64_t> WriteObject(ObjectStore& objects, uint32_t step) {
  SIGNUM_TRY(objects.Put(MemorySource(BytesOf(step) + "object"), std::nullopt));
  return 0;
}

Result<uint64_t> WriteVersion(Catalog& catalog) {
  VersionRecord version;
  version.tenant = "acme";
  version.model = "chat";
  SIGNUM_ASSIGN(version, catalog.CreateVersion(version));
  SIGNUM_ASSIGN(auto job, catalog.ClaimJob());
  if (job->version != version.version) return Fail(Errc::kInternal, "order", "another job");
  version.state = VersionState::kReady;
  job->state = JobState::kDone;
  SIGNUM_TRY(catalog.FinishVersion(version, *job));
  return version.version;
}

// The child: writes until it is killed. Never returns.
[[noreturn]] void WriteForever(const std::string& directory, int acks, uint32_t first_step) {
  auto opened = OpenRocksEngine(directory);
  if (opened.has_error()) _exit(3);
  Engine& engine = **opened;
  const SystemClock clock;
  ObjectStore objects(engine);
  Catalog catalog(engine, clock);
  if (catalog.RequeueRunningJobs().has_error()) _exit(3);
  while (*catalog.ClaimJob()) {  // of the round before: they are left running
  }
  const auto run = [&](Writer writer) {
    for (uint32_t step = first_step;; ++step) {
      const Result<uint64_t> done = writer == kKeys      ? WriteKeys(engine, step)
                                    : writer == kBlobs   ? WriteOneBlob(engine, step)
                                    : writer == kObjects ? WriteObject(objects, step)
                                                         : WriteVersion(catalog);
      if (done.has_error()) _exit(4);
      const Ack ack{writer, step, *done};
      if (::write(acks, &ack, sizeof ack) != sizeof ack) _exit(5);
    }
  };
  std::vector<std::thread> threads;
  for (uint32_t writer = 0; writer < kWriters; ++writer) {
    threads.emplace_back(run, static_cast<Writer>(writer));
  }
  for (std::thread& thread : threads) thread.join();
  _exit(6);
}

std::vector<Ack> ReadAcks(int pipe) {
  std::vector<Ack> acks;
  Ack ack;
  while (::read(pipe, &ack, sizeof ack) == sizeof ack) acks.push_back(ack);
  return acks;
}

class CrashTest : public ::testing::Test {
 protected:
  std::string Path() const { return (directory_.path() / "store").string(); }

  // Runs a child for `life` and returns what it acknowledged.
  std::vector<Ack> KillAfter(std::chrono::milliseconds life) {
    int ends[2];
    EXPECT_EQ(::pipe2(ends, O_CLOEXEC), 0);
    ::fcntl(ends[1], F_SETPIPE_SZ, 1 << 20);
    const pid_t child = ::fork();
    if (child == 0) WriteForever(Path(), ends[1], first_step_);
    ::close(ends[1]);
    std::this_thread::sleep_for(life);
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself: " << WEXITSTATUS(status);
    std::vector<Ack> acks = ReadAcks(ends[0]);
    ::close(ends[0]);
    first_step_ += 100'000;
    return acks;
  }

  void Check(const std::vector<Ack>& acks) {
    auto opened = OpenRocksEngine(Path());
    ASSERT_THAT(opened, Ok());
    Engine& engine = **opened;
    const SystemClock clock;
    ObjectStore objects(engine);
    const Catalog catalog(engine, clock);
    for (const Ack& ack : acks) CheckAck(ack, engine, objects, catalog);
    CheckPairs(engine);
    CheckVersions(catalog);
    CheckBlobs(engine);
    EXPECT_TRUE(fs::is_empty(fs::path(Path()) / "staging"));
  }

  static void CheckAck(const Ack& ack, Engine& engine, ObjectStore& objects,
                       const Catalog& catalog) {
    if (ack.writer == kKeys) {
      EXPECT_EQ(*engine.Get(StepKey(ack.step, 'a')), std::to_string(ack.step));
    } else if (ack.writer == kBlobs) {
      const auto blob = engine.OpenBlob(ack.result);
      ASSERT_THAT(blob, Ok());
      EXPECT_TRUE(Contents(**blob) == BytesOf(ack.step)) << ack.step;
    } else if (ack.writer == kObjects) {
      const std::string bytes = BytesOf(ack.step) + "object";
      const auto object = objects.Open(Sha256::Of(AsBytes(bytes)));
      ASSERT_THAT(object, Ok());
      EXPECT_TRUE(Contents(**object) == bytes) << ack.step;
    } else {
      const auto version = catalog.GetVersion("acme", "chat", ack.result);
      ASSERT_THAT(version, Ok());
      EXPECT_EQ(version->state, VersionState::kReady);
      EXPECT_GE(catalog.GetAlias("acme", "chat", "latest")->version, ack.result);
    }
  }

  // A batch is there wholly or not at all, acknowledged or not.
  static void CheckPairs(const Engine& engine) {
    const auto found = *engine.Scan("t/crash/x/", "t/crash/x0", SIZE_MAX);
    std::map<std::string, std::string> keys;
    for (const KeyValue& item : found) keys.emplace(item.key, item.value);
    for (const auto& [key, value] : keys) {
      std::string other = key;
      other.back() = key.back() == 'a' ? 'b' : 'a';
      ASSERT_TRUE(keys.contains(other)) << key;
      EXPECT_EQ(keys[other], value);
    }
  }

  // Every version has its job, in the state that fits.
  static void CheckVersions(const Catalog& catalog) {
    const auto versions = catalog.ListVersions("acme", "chat", 0, SIZE_MAX);
    if (versions.has_error()) return;  // killed before the first
    uint64_t expected = 1;
    for (const VersionRecord& version : *versions) {
      EXPECT_EQ(version.version, expected++);
      const auto job = catalog.GetJob(version.job);
      ASSERT_THAT(job, Ok());
      EXPECT_EQ(job->state == JobState::kDone, version.state == VersionState::kReady);
      EXPECT_EQ(job->state == JobState::kRunning, version.state == VersionState::kRunning);
    }
  }

  // Whatever blob is there can be read to its end.
  static void CheckBlobs(const Engine& engine) {
    const auto blobs = engine.ListBlobs();
    ASSERT_THAT(blobs, Ok());
    for (const uint64_t id : *blobs) {
      const auto blob = engine.OpenBlob(id);
      ASSERT_THAT(blob, Ok());
      EXPECT_EQ(Contents(**blob).size(), (*blob)->size());
    }
  }

  TempDir directory_;
  uint32_t first_step_ = 0;
};

TEST_F(CrashTest, NothingAcknowledgedIsLost) {
  const char* const rounds_text = std::getenv("SIGNUM_CRASH_ROUNDS");
  const int rounds = rounds_text != nullptr ? std::atoi(rounds_text) : 5;
  std::mt19937 random(std::random_device{}());
  std::vector<Ack> acks;
  for (int round = 0; round < rounds; ++round) {
    const std::chrono::milliseconds life(50 + random() % 500);
    SCOPED_TRACE("round " + std::to_string(round) + ", killed after " +
                 std::to_string(life.count()) + " ms");
    const std::vector<Ack> more = KillAfter(life);
    acks.insert(acks.end(), more.begin(), more.end());
    Check(acks);
    if (HasFatalFailure()) return;
    // Acknowledgements of long runs are checked for some rounds, then only the newest.
    if (acks.size() > 5000) acks.erase(acks.begin(), acks.end() - 1000);
  }
  EXPECT_GT(acks.size(), static_cast<size_t>(rounds)) << "the child got nothing done";
}

}  // namespace
}  // namespace signum
