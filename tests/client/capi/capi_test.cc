#include <gmock/gmock.h>

#include <atomic>
#include <cmath>
#include <cstddef>
#include <thread>

#include "client/capi/dlpack.h"
#include "tests/client/capi/capi_fixture.h"

namespace signum::client {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

TEST_F(Capi, NullIsRefusedEverywhere) {
  Publish(1, 'a');
  Open();
  signum_lease* lease = Acquire();
  signum_tensor tensor{};
  tensor.struct_size = sizeof(tensor);
  signum_weight weight{};
  weight.struct_size = sizeof(weight);
  signum_lease_info info{};
  info.struct_size = sizeof(info);
  signum_lease* other = nullptr;
  void* managed = nullptr;
  char* text = nullptr;
  const signum_node_options options = Options();
  const signum_status statuses[] = {
      signum_node_open(nullptr, nullptr),
      signum_node_open(&options, nullptr),
      signum_node_wait_ready(nullptr, 0),
      signum_node_residency(nullptr, &text),
      signum_node_residency(node_, nullptr),
      signum_lease_acquire(nullptr, "acme/chat", &other),
      signum_lease_acquire(node_, nullptr, &other),
      signum_lease_acquire(node_, "acme/chat", nullptr),
      signum_lease_release_after(nullptr, nullptr),
      signum_lease_wait(nullptr, nullptr),
      signum_lease_describe(nullptr, &info),
      signum_lease_describe(lease, nullptr),
      signum_lease_tensor(nullptr, 0, &tensor),
      signum_lease_tensor(lease, 0, nullptr),
      signum_lease_find(nullptr, "w", &tensor),
      signum_lease_find(lease, nullptr, &tensor),
      signum_lease_find(lease, "w", nullptr),
      signum_lease_weight(nullptr, 0, &weight),
      signum_lease_weight(lease, 0, nullptr),
      signum_lease_dlpack(nullptr, 0, 0, &managed),
      signum_lease_dlpack(lease, 0, 0, nullptr),
      signum_pull(nullptr, &text),
  };
  for (size_t i = 0; i < std::size(statuses); ++i) EXPECT_EQ(statuses[i], SIGNUM_INVALID) << i;
  EXPECT_STREQ(signum_last_error_reason(), "null_argument");
  EXPECT_EQ(signum_lease_retain(nullptr), nullptr);
  signum_dlpack_drop_capsule(nullptr);
  signum_lease_release(nullptr);
  signum_lease_release(lease);
}

TEST_F(Capi, OptionsAreChecked) {
  signum_node_options options = Options();
  options.struct_size = 8;
  ExpectRefused(options, "bad_struct_size");
  options = Options();
  options.registry_url = nullptr;
  ExpectRefused(options, "null_argument");
  options.registry_url = "not a url";
  ExpectRefused(options, "bad_url");
  options = Options();
  options.tenant_count = 0;
  ExpectRefused(options, "no_tenant");
  const char* const bad[] = {"No Tenant"};
  options.tenants = bad;
  options.tenant_count = 1;
  ExpectRefused(options, "bad_name");
  options = Options();
  options.device = "abacus";
  ExpectRefused(options, "bad_device");
  options = Options();
  options.fetch_window_seconds = -1;
  ExpectRefused(options, "bad_fetch_window");
}

// A program that was built before a field was added goes on as it was.
TEST_F(Capi, OptionsOfTheFirstVersionAreTaken) {
  signum_node_options options = Options();
  options.struct_size = offsetof(signum_node_options, device_memory_bytes);
  options.device_memory_bytes = UINT64_MAX;  // not the program's
  ASSERT_EQ(signum_node_open(&options, &node_), SIGNUM_OK) << signum_last_error();
}

TEST_F(Capi, AMissingDeviceIsSaid) {
  setenv("SIGNUM_CUDA_MODULE", "/nowhere/module.so", 1);
  signum_node_options options = Options();
  options.device = "cuda";
  EXPECT_EQ(signum_node_open(&options, &node_), SIGNUM_UNAVAILABLE);
  EXPECT_STREQ(signum_last_error_reason(), "no_cuda") << signum_last_error();
  options.device = "auto";
  EXPECT_EQ(signum_node_open(&options, &node_), SIGNUM_OK) << signum_last_error();
  unsetenv("SIGNUM_CUDA_MODULE");
  EXPECT_EQ(Residency()["device"], "cpu");
}

TEST_F(Capi, NoEventIsOfTheHostsMemory) {
  Publish(1, 'a');
  Open();
  signum_lease* lease = Acquire();
  int event = 0;
  EXPECT_EQ(signum_lease_release_after(lease, &event), SIGNUM_INVALID);
  EXPECT_STREQ(signum_last_error_reason(), "no_device");
  EXPECT_EQ(signum_lease_wait(lease, &event), SIGNUM_INVALID);
  EXPECT_TRUE(AllAre(lease, 'a'));  // still ours
  EXPECT_EQ(signum_lease_release_after(lease, nullptr), SIGNUM_OK);
  EXPECT_EQ(Residency()["models"][0]["leases"], 0);
}

TEST_F(Capi, ErrorsAreOfTheThread) {
  Open();
  signum_lease* lease = nullptr;
  EXPECT_EQ(signum_lease_acquire(node_, "acme/chat", &lease), SIGNUM_NOT_FOUND);
  EXPECT_EQ(lease, nullptr);
  EXPECT_STREQ(signum_last_error_reason(), "not_resident");
  EXPECT_THAT(signum_last_error(), HasSubstr("acme/chat"));
  std::jthread([&] {
    EXPECT_STREQ(signum_last_error(), "");
    EXPECT_EQ(signum_lease_acquire(node_, "acme", &lease), SIGNUM_INVALID);
    EXPECT_STREQ(signum_last_error_reason(), "bad_name");
  }).join();
  EXPECT_STREQ(signum_last_error_reason(), "not_resident");
  EXPECT_EQ(signum_lease_acquire(node_, "acme/chat@2", &lease), SIGNUM_INVALID);
}

TEST_F(Capi, WaitingForANodeEndsInTime) {
  registry_.Stop();
  const signum_node_options options = Options();
  ASSERT_EQ(signum_node_open(&options, &node_), SIGNUM_OK) << signum_last_error();
  EXPECT_EQ(signum_node_wait_ready(node_, 0.05), SIGNUM_UNAVAILABLE);
  EXPECT_STREQ(signum_last_error_reason(), "not_ready");
  EXPECT_EQ(signum_node_wait_ready(node_, std::nan("")), SIGNUM_INVALID);
}

TEST_F(Capi, ALeaseShowsTheDelta) {
  Publish(3, 'c');
  Open();
  signum_lease* lease = Acquire();
  signum_lease_info info{};
  info.struct_size = sizeof(info);
  ASSERT_EQ(signum_lease_describe(lease, &info), SIGNUM_OK);
  EXPECT_STREQ(info.tenant, "acme");
  EXPECT_STREQ(info.model, "chat");
  EXPECT_EQ(info.version, 3u);
  EXPECT_THAT(info.digest, HasSubstr("sha256:"));
  EXPECT_EQ(info.base_digest, registry_.base().Text());
  EXPECT_EQ(info.device_kind, SIGNUM_DEVICE_CPU);
  EXPECT_EQ(info.ready_event, nullptr);
  EXPECT_EQ(info.tensor_count, 2u);  // the weight and the recipe
  ASSERT_EQ(info.weight_count, 1u);
  const signum_tensor tensor = Weight(lease);
  EXPECT_STREQ(tensor.weight, "w");
  EXPECT_EQ(tensor.dtype, SIGNUM_U8);
  EXPECT_EQ(tensor.part, SIGNUM_PART_WHOLE);
  EXPECT_EQ(tensor.codec, SIGNUM_CODEC_RAW);
  ASSERT_EQ(tensor.rank, 1);
  EXPECT_EQ(static_cast<uint64_t>(tensor.shape[0]), tensor.bytes);
  EXPECT_TRUE(AllAre(lease, 'c'));
  signum_weight weight{};
  weight.struct_size = sizeof(weight);
  ASSERT_EQ(signum_lease_weight(lease, 0, &weight), SIGNUM_OK);
  signum_tensor whole{};
  whole.struct_size = sizeof(whole);
  ASSERT_EQ(signum_lease_tensor(lease, static_cast<size_t>(weight.whole), &whole), SIGNUM_OK);
  EXPECT_EQ(whole.data, tensor.data);
  EXPECT_EQ(signum_lease_tensor(lease, 2, &whole), SIGNUM_NOT_FOUND);
  EXPECT_EQ(signum_lease_weight(lease, 1, &weight), SIGNUM_NOT_FOUND);
  EXPECT_EQ(signum_lease_find(lease, "v", &whole), SIGNUM_NOT_FOUND);
  EXPECT_THAT(signum_last_error(), HasSubstr("'v'"));
  signum_lease_release(lease);
}

TEST_F(Capi, ALeaseOutlivesASwap) {
  Publish(1, 'a');
  Open();
  signum_lease* old = Acquire();
  const void* data = Weight(old).data;
  Publish(2, 'b');
  ASSERT_TRUE(Eventually([&] { return LiveVersion() == 2; }));
  EXPECT_EQ(Version(old), 1u);
  EXPECT_EQ(Weight(old).data, data);
  EXPECT_TRUE(AllAre(old, 'a'));
  EXPECT_EQ(Residency()["retiring"].size(), 1u);
  EXPECT_EQ(signum_lease_retain(old), old);
  signum_lease_release(old);
  EXPECT_EQ(Residency()["retiring"].size(), 1u);  // one more release to come
  signum_lease_release(old);
  EXPECT_TRUE(Residency()["retiring"].empty());
  EXPECT_EQ(Residency()["freed"], 1);
}

TEST_F(Capi, ALeaseOutlivesItsNode) {
  Publish(1, 'a');
  Open();
  signum_lease* lease = Acquire();
  signum_node_close(node_);
  node_ = nullptr;
  EXPECT_TRUE(AllAre(lease, 'a'));
  void* managed = nullptr;
  ASSERT_EQ(signum_lease_dlpack(lease, 0, SIGNUM_DLPACK_VERSIONED, &managed), SIGNUM_OK);
  signum_lease_release(lease);
  auto* tensor = static_cast<dlpack::DLManagedTensorVersioned*>(managed);
  EXPECT_EQ(*static_cast<const char*>(tensor->dl_tensor.data), 'a');
  std::jthread([&] { tensor->deleter(tensor); }).join();  // the last one, on a foreign thread
}

TEST_F(Capi, ManagedTensorsHoldTheLease) {
  Publish(1, 'a');
  Open();
  signum_lease* lease = Acquire();
  const signum_tensor tensor = Weight(lease);
  void *versioned = nullptr, *plain = nullptr;
  ASSERT_EQ(signum_lease_dlpack(lease, 0, SIGNUM_DLPACK_VERSIONED, &versioned), SIGNUM_OK);
  EXPECT_EQ(signum_lease_dlpack(lease, 9, 0, &plain), SIGNUM_NOT_FOUND);
  EXPECT_EQ(signum_lease_dlpack(lease, 0, 4, &plain), SIGNUM_INVALID);
  EXPECT_EQ(plain, nullptr);
  ASSERT_EQ(signum_lease_dlpack(lease, 0, 0, &plain), SIGNUM_OK);
  const auto* first = static_cast<dlpack::DLManagedTensorVersioned*>(versioned);
  const auto* second = static_cast<dlpack::DLManagedTensor*>(plain);
  EXPECT_EQ(first->version.major, 1u);
  EXPECT_EQ(first->flags, dlpack::kReadOnly);
  EXPECT_EQ(first->dl_tensor.data, tensor.data);
  EXPECT_EQ(second->dl_tensor.data, tensor.data);
  EXPECT_EQ(second->dl_tensor.shape[0], tensor.shape[0]);
  EXPECT_EQ(second->dl_tensor.strides[0], 1);
  EXPECT_EQ(second->dl_tensor.dtype.code, dlpack::kDLUInt);
  signum_lease_release(lease);
  Publish(2, 'b');
  ASSERT_TRUE(Eventually([&] { return LiveVersion() == 2; }));
  EXPECT_EQ(*static_cast<const char*>(first->dl_tensor.data), 'a');
  signum_dlpack_free(versioned, SIGNUM_DLPACK_VERSIONED);
  EXPECT_EQ(Residency()["retiring"].size(), 1u);
  signum_dlpack_free(plain, 0);
  EXPECT_TRUE(Residency()["retiring"].empty());
}

TEST_F(Capi, ManyThreadsReadWhileGenerationsAreSwapped) {
  Publish(1, 'a');
  Open();
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> reads{0};
  std::vector<std::jthread> readers;
  for (int i = 0; i < 4; ++i) {
    readers.emplace_back([&] {
      while (!stop) {
        signum_lease* lease = Acquire();
        EXPECT_TRUE(AllAre(lease, static_cast<char>('a' - 1 + Version(lease))));
        signum_lease_release(lease);
        ++reads;
      }
    });
  }
  for (uint64_t version = 2; version <= 6; ++version) {
    Publish(version, static_cast<char>('a' - 1 + version));
    ASSERT_TRUE(Eventually([&] { return LiveVersion() == version; }));
  }
  stop = true;
  readers.clear();
  EXPECT_GT(reads, 5u);
  EXPECT_EQ(Residency()["freed"], 5);
  EXPECT_TRUE(Residency()["retiring"].empty());
}

TEST_F(Capi, PullSaysWhatIsWrong) {
  signum_pull_options options{};
  options.struct_size = sizeof(options);
  options.registry_url = url_.c_str();
  options.model = "acme/chat@x/y";
  options.directory = cache_.c_str();
  char* files = nullptr;
  EXPECT_EQ(signum_pull(&options, &files), SIGNUM_INVALID);
  options.model = "acme/chat";
  options.as = "picture";
  EXPECT_EQ(signum_pull(&options, &files), SIGNUM_INVALID);
  EXPECT_THAT(signum_last_error(), HasSubstr("picture"));
  EXPECT_EQ(files, nullptr);
}

}  // namespace
}  // namespace signum::client
