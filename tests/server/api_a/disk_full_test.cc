#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mount.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <thread>

#include "tests/server/fixture.h"
#include "tests/server/models.h"
#include "tests/support/temp_dir.h"

// A disk that is full, played by a small tmpfs. Needs the right to mount: skipped without.

namespace signum::test {
namespace {

using nlohmann::json;

// A file system of its own, as big as told.
class SmallDisk {
 public:
  SmallDisk(const std::filesystem::path& where, const std::string& size) : where_(where) {
    std::filesystem::create_directories(where_);
    mounted_ = mount("tmpfs", where_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(where_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  bool mounted() const { return mounted_; }
  uint64_t Free() const { return std::filesystem::space(where_).available; }

 private:
  const std::filesystem::path where_;
  bool mounted_ = false;
};

UploadLimits NoReserve() {
  UploadLimits limits;
  limits.keep_free_bytes = 0;
  return limits;
}

TEST(DiskFullTest, AnUploadOnAFullDiskIs507AndTheDiskIsUsableAgain) {
  TempDir temp;
  const SmallDisk disk(temp.path(), "64m");
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs takes root";
  Service service({.directory = temp.path(), .worker = false, .uploads = NoReserve()});
  const Client& admin = service.admin();
  const std::string big(disk.Free() + (1 << 20), 'x');
  const Reply created =
      admin.Post("/v1/uploads", {{"files", {{{"path", "big"}, {"size", big.size()}}}}});
  std::string id;
  if (created.status == 201) {  // refused at the start or when it is full: both keep the promise
    id = created.Json()["id"];
    const Reply reply = admin.Call("PUT", PathOf(created.Json()["files"][0]["url"]), {}, big);
    EXPECT_EQ(reply.status, 507) << reply.body;
    EXPECT_EQ(reply.Code(), "disk_full");
    EXPECT_EQ(admin.Delete("/v1/uploads/" + id).status, 204);
  } else {
    EXPECT_EQ(created.status, 507) << created.body;
  }
  EXPECT_GT(disk.Free(), 20u << 20);
  const json base = CreateBase(admin, "small", MakeSmall({}));
  EXPECT_EQ(admin.Get("/v1/bases/small").Json(), base);
}

TEST(DiskFullTest, TheReserveIsKept) {
  TempDir temp;
  const SmallDisk disk(temp.path(), "64m");
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs takes root";
  UploadLimits limits;
  limits.keep_free_bytes = 32ull << 20;
  Service service({.directory = temp.path(), .worker = false, .uploads = limits});
  const uint64_t size = disk.Free() - (16ull << 20);
  const Reply created =
      service.admin().Post("/v1/uploads", {{"files", {{{"path", "big"}, {"size", size}}}}});
  EXPECT_EQ(created.status, 507);
}

// Big files, until `left` bytes are free; gone with the object.
class Ballast {
 public:
  Ballast(const SmallDisk& disk, std::filesystem::path file, uint64_t left)
      : file_(std::move(file)) {
    std::ofstream out(file_, std::ios::binary);
    out << std::string(disk.Free() - left, 'x');
  }
  ~Ballast() { std::filesystem::remove(file_); }

 private:
  const std::filesystem::path file_;
};

TEST(DiskFullTest, BelowTheReserveJobsWaitUploadsAreRefusedAndReadsGoOn) {
  TempDir temp;
  const SmallDisk disk(temp.path(), "96m");
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs takes root";
  UploadLimits limits;
  limits.keep_free_bytes = 32ull << 20;
  Service service({.directory = temp.path(), .worker = false, .uploads = limits});
  const Client& admin = service.admin();
  const json base = CreateBase(admin, "small", MakeSmall({}));
  const json pushed = Push(admin, "/v1/tenants/acme/models/m", "small", MakeSmall({.seed = 1}));
  const json begun = CreateUpload(admin, {{"a", std::string(1000, 'x')}}, false);
  {
    const Ballast ballast(disk, temp.path() / "ballast", 16ull << 20);
    service.StartWorker();
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    EXPECT_EQ(admin.Get(PathOf(pushed["url"])).Json()["state"], "queued");
    for (const Reply& refused :
         {admin.Post("/v1/uploads", {{"files", {{{"path", "a"}, {"size", 1}}}}}),
          admin.Call("PUT", PathOf(begun["files"][0]["url"]), {}, std::string(1000, 'x'))}) {
      EXPECT_EQ(refused.status, 507);
      EXPECT_EQ(refused.Code(), "disk_full");
    }
    EXPECT_EQ(admin.Get("/v1/bases/small").Json(), base);
    EXPECT_EQ(admin.Get("/v1/bases/small/files/config.json").status, 200);
    EXPECT_NE(admin.Get("/metrics").body.find("signum_refusals_total{reason=\"disk_full\"} 2\n"),
              std::string::npos);
  }
  EXPECT_EQ(WaitForVersion(admin, pushed)["state"], "ready") << "by itself";
  EXPECT_EQ(admin.Call("PUT", PathOf(begun["files"][0]["url"]), {}, std::string(1000, 'x')).status,
            200);
}

TEST(DiskFullTest, AJobThatRunsOutOfRoomGoesBackToTheQueue) {
  TempDir temp;
  const SmallDisk disk(temp.path(), "128m");
  if (!disk.mounted()) GTEST_SKIP() << "mounting a tmpfs takes root";
  Service service({.directory = temp.path(), .worker = false, .uploads = NoReserve()});
  const Client& admin = service.admin();
  CreateBase(admin, "small", MakeSmall({.hidden = 512}));
  const json pushed = Push(admin, "/v1/tenants/acme/models/m", "small",
                           MakeSmall({.seed = 1, .hidden = 512}), {{"codec", "raw"}});
  const std::string job = "/v1/jobs/" + pushed["job"].get<std::string>();
  {
    const Ballast ballast(disk, temp.path() / "ballast", 1ull << 20);
    std::atomic<bool> ran = false;
    const auto watch = service.app().catalog.WatchJobs([&](std::string_view id) {
      const auto seen = service.app().catalog.GetJob(id);
      if (seen.has_value() && seen->state == JobState::kRunning) ran = true;
    });
    service.StartWorker();
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!(ran && admin.Get(job).Json()["state"] == "queued") &&
           std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    EXPECT_TRUE(ran);
    std::this_thread::sleep_for(std::chrono::milliseconds(500));
    const json waiting = admin.Get(job).Json();
    EXPECT_EQ(waiting["state"], "queued") << waiting;
    EXPECT_EQ(waiting["attempts"], 0) << "that it met a full disk is not its fault";
  }
  const json version = WaitForVersion(admin, pushed);
  EXPECT_EQ(version["state"], "ready") << version;
}

TEST(DiskFullTest, AJobWithoutRoomFailsAndLeavesNothing) {
  TempDir temp;
  const SmallDisk tmp(temp.path() / "tmp", "64k");
  if (!tmp.mounted()) GTEST_SKIP() << "mounting a tmpfs takes root";
  Service service({.directory = temp.path()});
  const Client& admin = service.admin();
  CreateBase(admin, "small", MakeSmall({.hidden = 256}));
  const json version =
      WaitForVersion(admin, Push(admin, "/v1/tenants/acme/models/m", "small",
                                 MakeSmall({.seed = 1, .hidden = 256}), {{"codec", "raw"}}));
  EXPECT_EQ(version["state"], "failed");
  EXPECT_EQ(version["error"]["code"], "disk_full");
  EXPECT_TRUE(std::filesystem::is_empty(temp.path() / "tmp"));
  EXPECT_EQ(version["digest"], nullptr);
  // A smaller one still goes through.
  const json smaller =
      WaitForVersion(admin, Push(admin, "/v1/tenants/acme/models/m", "small",
                                 MakeSmall({.seed = 1, .hidden = 256}), {{"codec", "sign1"}}));
  EXPECT_TRUE(smaller["state"] == "ready" || smaller["error"]["code"] == "disk_full") << smaller;
}

TEST(DiskFullTest, ABaseThatDoesNotFitIs507AndTheStoreGoesOn) {
  TempDir temp;
  const SmallDisk store(temp.path() / "store", "48m");
  if (!store.mounted()) GTEST_SKIP() << "mounting a tmpfs takes root";
  Service service({.directory = temp.path(), .worker = false});
  const Client& admin = service.admin();
  const Files big = MakeSmall({.hidden = 2048});  // about 100 MB of weights
  const Reply reply = admin.Post("/v1/bases/big", {{"upload", Upload(admin, big)}});
  EXPECT_EQ(reply.status, 507) << reply.body;
  EXPECT_EQ(reply.Code(), "disk_full");
  EXPECT_EQ(admin.Get("/v1/bases/big").status, 404);
  CreateBase(admin, "small", MakeSmall({}));  // what fits is taken as before
  service.Restart();
  EXPECT_EQ(service.admin().Get("/v1/bases/small/files/config.json").status, 200);
}

}  // namespace
}  // namespace signum::test
