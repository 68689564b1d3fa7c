// Distillation whole, on the emulated device: its memory is not the host's, and its work may be
// late.

#include <gtest/gtest.h>

#include "gpu/cuda/backend.cuh"
#include "storage/base/file.h"
#include "tests/gpu/cuda/emulation/held_event.h"
#include "tests/gpu/distill/small_distillation.h"

namespace signum {
namespace {

struct Distilled {
  DistillReport report;
  std::string bytes;
};

class DistillOnEmulatedCuda : public SmallDistillation {
 protected:
  ~DistillOnEmulatedCuda() override { SignumEmulatedLazy(0); }

  Distilled On(ops::Backend& backend) {
    auto done = DistillDelta(backend, models_, delta_.reader, options_, dir_ / "out", {});
    EXPECT_TRUE(done.has_value()) << done.error().message;
    if (!done) return {};
    return {*std::move(done), *ReadFile(dir_ / "out", 1 << 24)};
  }
  Distilled OnDevice() {
    std::string why;
    const auto backend = cuda::MakeBackend({}, &why);
    EXPECT_NE(backend, nullptr) << why;
    return On(*backend);
  }
  // The same losses as the CPU's, and the same bytes whenever its work is done.
  void Check() {
    const Distilled cpu = On(*ops::MakeCpuBackend());
    const Distilled at_once = OnDevice();
    EXPECT_NEAR(at_once.report.first_loss, cpu.report.first_loss, 1e-3 * cpu.report.first_loss);
    EXPECT_NEAR(at_once.report.last_loss, cpu.report.last_loss, 1e-2 * cpu.report.last_loss);
    EXPECT_NEAR(at_once.report.fidelity.logit_mse, cpu.report.fidelity.logit_mse,
                1e-2 * cpu.report.fidelity.logit_mse);
    for (const unsigned seed : {1U, 2U}) {
      SignumEmulatedLazy(seed);
      EXPECT_EQ(OnDevice().bytes, at_once.bytes) << "seed " << seed;
      SignumEmulatedLazy(0);
    }
  }
};

TEST_F(DistillOnEmulatedCuda, ComesToWhatTheCpuComesTo) { Check(); }

TEST_F(DistillOnEmulatedCuda, WithLayersStreamed) {
  options_.memory_bytes = 1;
  Check();
}

TEST_F(DistillOnEmulatedCuda, WithKlAndWithoutLayerwiseSigns) {
  options_.train.loss = ops::Loss::kKl;
  options_.layerwise_first = false;
  Check();
}

}  // namespace
}  // namespace signum
