// A device that stays open between jobs, with the base in its memory.

#include "gpu/distill/device_pool.h"

#include "storage/base/file.h"
#include "tests/gpu/distill/limited_backend.h"
#include "tests/gpu/distill/small_distillation.h"

namespace signum {
namespace {

constexpr size_t kRoom = size_t{1} << 30;
constexpr char kName[] = "cuda:99";  // of which there is none to open

class DevicePoolTest : public SmallDistillation {
 protected:
  std::unique_ptr<Device> Open() {
    auto backend = std::make_unique<LimitedBackend>(kRoom);
    backend_ = backend.get();
    return std::make_unique<Device>(std::move(backend));
  }
  // Distils on a device whose backend is backend_; what it uploaded.
  uint64_t Distil(Device& device) {
    options_.kept = &device.kept();
    const uint64_t before = backend_->uploaded();
    const auto done =
        DistillDelta(device.backend(), models_, delta_.reader, options_, dir_ / "out", {});
    EXPECT_TRUE(done.has_value()) << done.error().message;
    return backend_->uploaded() - before;
  }
  std::string Made() const { return *ReadFile(dir_ / "out", 1 << 24); }
  // Of the weights that have signs, in the base.
  uint64_t BaseBytes() const {
    uint64_t bytes = 0;
    for (const TensorInfo& info : base_.checkpoint->tensors()) {
      if (info.shape.size() == 2) bytes += info.bytes();
    }
    return bytes;
  }

  LimitedBackend* backend_ = nullptr;
};

TEST_F(DevicePoolTest, TheNextJobOfABaseFindsItOnTheDevice) {
  const auto device = Open();
  const uint64_t first = Distil(*device);
  const std::string made = Made();
  EXPECT_EQ(first - Distil(*device), BaseBytes());
  EXPECT_EQ(Made(), made);
}

TEST_F(DevicePoolTest, AnotherBaseTakesItsPlace) {
  const auto device = Open();
  Distil(*device);
  Take(fine_, base_);
  const uint64_t other = Distil(*device);
  const std::string made = Made();
  EXPECT_EQ(Distil(*Open()), other);
  EXPECT_EQ(Made(), made) << "as on a fresh device";
}

TEST_F(DevicePoolTest, GivesTheSameDeviceToWhoAsksForIt) {
  DevicePool pool;
  BackendOptions tf32;
  tf32.tf32 = true;
  pool.Put(kName, tf32, Open());
  const auto* const put = backend_;
  CpuReason why;
  EXPECT_EQ((*pool.Take(kName, {}, &why))->backend().name(), "cpu") << "another precision";
  EXPECT_EQ((*pool.Take("cpu", tf32, &why))->backend().name(), "cpu");
  const auto taken = pool.Take(kName, tf32, &why);
  EXPECT_EQ(&(*taken)->backend(), put);
  EXPECT_EQ(why.text, "");
  EXPECT_EQ((*pool.Take(kName, tf32, &why))->backend().name(), "cpu") << "who has one has it alone";
  EXPECT_TRUE(why.unexpected);
}

TEST_F(DevicePoolTest, ClosesWhatLiesIdle) {
  DevicePool pool;
  CpuReason why;
  pool.Put(kName, {}, Open());
  pool.CloseIdle(std::chrono::hours(1));
  auto device = *pool.Take(kName, {}, &why);
  EXPECT_EQ(&device->backend(), backend_);
  pool.Put(kName, {}, std::move(device));
  pool.CloseIdle(std::chrono::seconds(0));
  EXPECT_EQ((*pool.Take(kName, {}, &why))->backend().name(), "cpu");
}

TEST_F(DevicePoolTest, TheCpuTakesNoPlace) {
  DevicePool pool;
  CpuReason why;
  pool.Put(kName, {}, Open());
  pool.Put("cpu", {}, *pool.Take("cpu", {}, &why));
  EXPECT_EQ(&(*pool.Take(kName, {}, &why))->backend(), backend_);
}

}  // namespace
}  // namespace signum
