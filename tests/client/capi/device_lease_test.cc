#include <dlfcn.h>
#include <gmock/gmock.h>

#include <thread>

#include "client/capi/dlpack.h"
#include "tests/client/capi/capi_fixture.h"

// Leases of device memory, on the emulated device (tests/gpu/cuda/emulation): its addresses are the
// host's, and events pass when a test says so.

namespace signum::client {
namespace {

// The module as libsignum loads it, with what its emulator has for tests.
class Emulated {
 public:
  Emulated() {
    dlopen(SIGNUM_EMULATED "/libcuda.so.1", RTLD_NOW);  // found by its name from now on
    setenv("SIGNUM_CUDA_MODULE", SIGNUM_EMULATED "/libsignum_cuda.so", 1);
    setenv("SIGNUM_EMULATED_SHARED", "1", 1);  // the host reads what a lease shows
    module_ = dlopen(SIGNUM_EMULATED "/libsignum_cuda.so", RTLD_NOW | RTLD_LOCAL);
  }
  bool here() const { return module_ != nullptr; }
  template <class Function>
  Function* Find(const char* name) const {
    return reinterpret_cast<Function*>(dlsym(module_, name));
  }
  void* HeldEvent() const { return Find<void*()>("SignumEmulatedHeldEvent")(); }
  void Pass(void* event) const { Find<void(void*)>("SignumEmulatedPass")(event); }
  void* Stream() const { return Find<void*()>("SignumEmulatedStream")(); }
  int Waits(void* stream) const { return Find<int(void*)>("SignumEmulatedWaits")(stream); }
  size_t Locked() const { return Find<size_t()>("SignumEmulatedLocked")(); }

 private:
  void* module_ = nullptr;
};

class DeviceLease : public Capi {
 protected:
  void SetUp() override { ASSERT_TRUE(emulated_.here()) << dlerror(); }

  void OpenOnDevice(uint64_t memory = 10 << 20, uint64_t device_memory = 10 << 20) {
    signum_node_options options = Options();
    options.device = "cuda:0";
    options.memory_bytes = memory;
    options.device_memory_bytes = device_memory;
    ASSERT_EQ(signum_node_open(&options, &node_), SIGNUM_OK) << signum_last_error();
    ASSERT_EQ(signum_node_wait_ready(node_, 20), SIGNUM_OK) << signum_last_error();
  }
  uint64_t OnDevice() { return Residency()["device_memory"]["used"]; }
  bool Swapped(uint64_t version) {
    return Eventually([&] { return LiveVersion() == version; });
  }

  Emulated emulated_;
};

TEST_F(DeviceLease, ShowsTensorsWhereTheDeviceHasThem) {
  Publish(3, 'c');
  OpenOnDevice();
  signum_lease* lease = Acquire();
  signum_lease_info info{};
  info.struct_size = sizeof(info);
  ASSERT_EQ(signum_lease_describe(lease, &info), SIGNUM_OK);
  EXPECT_EQ(info.version, 3U);
  EXPECT_EQ(info.device_kind, SIGNUM_DEVICE_CUDA);
  EXPECT_EQ(info.device_id, 0);
  EXPECT_EQ(OnDevice(), info.bytes);
  const signum_tensor tensor = Weight(lease);
  EXPECT_EQ(tensor.device_kind, SIGNUM_DEVICE_CUDA);
  ASSERT_NE(tensor.ready_event, nullptr);
  EXPECT_EQ(tensor.ready_event, info.ready_event);
  EXPECT_TRUE(AllAre(lease, 'c'));
  void* stream = emulated_.Stream();
  EXPECT_EQ(signum_lease_wait(lease, stream), SIGNUM_OK) << signum_last_error();
  EXPECT_EQ(emulated_.Waits(stream), 1);
  int none = 0;
  EXPECT_EQ(signum_lease_wait(lease, &none), SIGNUM_INVALID);
  EXPECT_STREQ(signum_last_error_reason(), "bad_stream");
  signum_lease_release(lease);
}

TEST_F(DeviceLease, ManagedTensorsSayWhichDevice) {
  Publish(1, 'a');
  OpenOnDevice();
  signum_lease* lease = Acquire();
  void* managed = nullptr;
  ASSERT_EQ(signum_lease_dlpack(lease, 0, SIGNUM_DLPACK_VERSIONED, &managed), SIGNUM_OK);
  signum_lease_release(lease);
  const auto* tensor = static_cast<dlpack::DLManagedTensorVersioned*>(managed);
  EXPECT_EQ(tensor->dl_tensor.device.device_type, SIGNUM_DEVICE_CUDA);
  EXPECT_EQ(tensor->dl_tensor.device.device_id, 0);
  Publish(2, 'b');
  ASSERT_TRUE(Swapped(2));
  EXPECT_EQ(*static_cast<const char*>(tensor->dl_tensor.data), 'a');
  const uint64_t both = OnDevice();
  signum_dlpack_free(managed, SIGNUM_DLPACK_VERSIONED);
  EXPECT_LT(OnDevice(), both);
  EXPECT_TRUE(Residency()["retiring"].empty());
}

TEST_F(DeviceLease, MemoryIsFreedOnceTheEventHasPassed) {
  Publish(1, 'a');
  OpenOnDevice();
  signum_lease* lease = Acquire();
  const signum_tensor tensor = Weight(lease);
  const uint64_t one = OnDevice();
  Publish(2, 'b');
  ASSERT_TRUE(Swapped(2));
  void* held = emulated_.HeldEvent();
  ASSERT_EQ(signum_lease_release_after(lease, held), SIGNUM_OK) << signum_last_error();
  std::this_thread::sleep_for(std::chrono::milliseconds{30});
  EXPECT_EQ(Residency()["retiring"].size(), 1U);
  EXPECT_EQ(OnDevice(), 2 * one);
  EXPECT_EQ(*static_cast<const char*>(tensor.data), 'a');
  emulated_.Pass(held);
  EXPECT_TRUE(Eventually([&] { return Residency()["retiring"].empty() && OnDevice() == one; }));
}

TEST_F(DeviceLease, OtherReferencesHoldItBeyondTheEvent) {
  Publish(1, 'a');
  OpenOnDevice();
  signum_lease* lease = Acquire();
  signum_lease_retain(lease);
  Publish(2, 'b');
  ASSERT_TRUE(Swapped(2));
  void* held = emulated_.HeldEvent();
  ASSERT_EQ(signum_lease_release_after(lease, held), SIGNUM_OK);
  emulated_.Pass(held);
  std::this_thread::sleep_for(std::chrono::milliseconds{30});
  EXPECT_TRUE(AllAre(lease, 'a'));
  EXPECT_EQ(Residency()["retiring"].size(), 1U);
  signum_lease_release(lease);
  EXPECT_TRUE(Residency()["retiring"].empty());
}

TEST_F(DeviceLease, AnEventThatIsNoneIsRefused) {
  Publish(1, 'a');
  OpenOnDevice();
  signum_lease* lease = Acquire();
  int none = 0;
  EXPECT_EQ(signum_lease_release_after(lease, &none), SIGNUM_UNAVAILABLE);
  EXPECT_STREQ(signum_last_error_reason(), "device_failed");
  EXPECT_TRUE(AllAre(lease, 'a'));
  signum_lease_release(lease);
}

TEST_F(DeviceLease, ALeaseOutlivesItsNode) {
  Publish(1, 'a');
  OpenOnDevice();
  signum_lease* lease = Acquire();
  signum_lease* last = Acquire();
  void* held = emulated_.HeldEvent();
  ASSERT_EQ(signum_lease_release_after(lease, held), SIGNUM_OK);
  std::jthread passing([&] {
    std::this_thread::sleep_for(std::chrono::milliseconds{30});
    emulated_.Pass(held);
  });
  signum_node_close(node_);  // waits for the event
  node_ = nullptr;
  EXPECT_TRUE(AllAre(last, 'a'));
  void* passed = emulated_.HeldEvent();
  emulated_.Pass(passed);
  EXPECT_EQ(signum_lease_release_after(last, passed), SIGNUM_OK);
}

TEST_F(DeviceLease, CopiesOfTheHostArePageLocked) {
  Publish(1, 'a');
  OpenOnDevice();
  const uint64_t copies = Residency()["memory"]["used"];
  EXPECT_GT(copies, 0U);
  EXPECT_EQ(emulated_.Locked(), copies);
  signum_node_close(node_);
  node_ = nullptr;
  EXPECT_EQ(emulated_.Locked(), 0U);
}

// One copy at a time on the host, and what does not fit on the device is refused with the numbers.
TEST_F(DeviceLease, TheDeviceHoldsMoreThanTheHost) {
  const uint64_t size = registry_.Publish("acme", "chat", 1, 'a', dir_ / "scratch").size;
  registry_.Publish("acme", "draw", 1, 'd', dir_ / "scratch");
  OpenOnDevice(size, 2 * size + 512);
  EXPECT_EQ(Residency()["models"].size(), 2U);
  EXPECT_EQ(OnDevice(), 2 * size);
  EXPECT_EQ(Residency()["memory"]["used"], size);
  signum_lease* lease = Acquire();
  signum_lease* other = nullptr;
  ASSERT_EQ(signum_lease_acquire(node_, "acme/draw", &other), SIGNUM_OK);
  EXPECT_TRUE(AllAre(lease, 'a'));
  EXPECT_TRUE(AllAre(other, 'd'));
  Publish(2, 'b');  // there is no room for a third one while both are in use
  ASSERT_TRUE(Eventually([&] {
    const nlohmann::json pending = Residency()["pending"];
    return !pending.empty() && pending[0]["reason"] == "device_budget";
  }));
  EXPECT_EQ(LiveVersion(), 1U);
  signum_lease_release(other);
  EXPECT_TRUE(Swapped(2));
  signum_lease_release(lease);
}

}  // namespace
}  // namespace signum::client
