// Distillation whole, on the emulated device: its memory is not the host's, and its work is late.
// Or on a real one (test_device.h).

#include <gtest/gtest.h>

#include "storage/base/file.h"
#include "tests/gpu/cuda/test_device.h"
#include "tests/gpu/distill/small_distillation.h"

namespace signum {
namespace {

struct Distilled {
  DistillReport report;
  std::string bytes;
};

class DistillOnCuda : public SmallDistillation {
 protected:
  Distilled On(ops::Backend& backend) {
    auto done = DistillDelta(backend, models_, delta_.reader, options_, dir_ / "out", {});
    EXPECT_TRUE(done.has_value()) << done.error().message;
    if (!done) return {};
    return {*std::move(done), *ReadFile(dir_ / "out", 1 << 24)};
  }
  Distilled OnDevice() {
    const auto backend = OpenTestDevice();
    return backend == nullptr ? Distilled{} : On(*backend);
  }
  // The same losses as the CPU's, and the same bytes every time.
  void Check() {
    const Distilled cpu = On(*ops::MakeCpuBackend());
    const Distilled device = OnDevice();
    EXPECT_NEAR(device.report.first_loss, cpu.report.first_loss, 1e-2 * cpu.report.first_loss);
    EXPECT_NEAR(device.report.last_loss, cpu.report.last_loss, 3e-2 * cpu.report.last_loss);
    EXPECT_NEAR(device.report.fidelity.logit_mse, cpu.report.fidelity.logit_mse,
                3e-2 * cpu.report.fidelity.logit_mse);
    EXPECT_EQ(OnDevice().bytes, device.bytes);
  }
};

TEST_F(DistillOnCuda, ComesToWhatTheCpuComesTo) { Check(); }

TEST_F(DistillOnCuda, WithLayersStreamed) {
  options_.memory_bytes = 1;
  Check();
}

TEST_F(DistillOnCuda, WithKlAndWithoutLayerwiseSigns) {
  options_.train.loss = ops::Loss::kKl;
  options_.layerwise_first = false;
  Check();
}

}  // namespace
}  // namespace signum
