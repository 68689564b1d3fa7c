// What happens where a device has too little memory, on a small model.

#include "gpu/distill/distill_on_device.h"

#include <gmock/gmock.h>

#include "storage/base/file.h"
#include "tests/gpu/distill/limited_backend.h"
#include "tests/gpu/distill/small_distillation.h"

namespace signum {
namespace {

using testing::HasSubstr;

class DistillOnDeviceTest : public SmallDistillation {
 protected:
  Result<DistillReport> Run(ops::Backend& backend) {
    note_.clear();
    return DistillOnDevice(backend, {models_, delta_.reader, options_, dir_ / "out"}, {}, note_);
  }
  // The delta's bytes after a run that must succeed.
  std::string BytesOn(std::unique_ptr<ops::Backend> backend) {
    const auto done = Run(*backend);
    EXPECT_TRUE(done.has_value()) << done.error().message;
    return *ReadFile(dir_ / "out", 1 << 24);
  }

  std::string note_;
};

TEST_F(DistillOnDeviceTest, SaysNothingWhereMemorySuffices) {
  const std::string expected = BytesOn(ops::MakeCpuBackend());
  EXPECT_EQ(note_, "");
  EXPECT_EQ(BytesOn(std::make_unique<LimitedBackend>(size_t{1} << 30)), expected);
  EXPECT_EQ(note_, "");
}

// From none to enough, a device that is full at any point leads to the same delta: never a crash, a
// half-made file or a fall-back that nobody hears of.
TEST_F(DistillOnDeviceTest, StreamsThenTakesTheCpuAndSaysSo) {
  const std::string expected = BytesOn(ops::MakeCpuBackend());
  int streamed = 0;
  int on_cpu = 0;
  int whole = 0;
  for (size_t room = 0; room < (size_t{3} << 20); room += size_t{96} << 10) {
    ASSERT_EQ(BytesOn(std::make_unique<LimitedBackend>(room)), expected) << room;
    if (note_.empty()) {
      ++whole;
      continue;
    }
    EXPECT_THAT(note_, HasSubstr("small:0 has no room"));
    const bool streams = note_.ends_with("; layers are streamed");
    EXPECT_TRUE(streams || note_.ends_with("; distilled on the CPU")) << note_;
    ++(streams ? streamed : on_cpu);
    EXPECT_EQ(whole, 0) << "more room is never worse";
    EXPECT_TRUE(streams || streamed == 0) << "more room is never worse";
  }
  EXPECT_GT(on_cpu, 0);
  EXPECT_GT(streamed, 0);
  EXPECT_GT(whole, 0);
}

TEST_F(DistillOnDeviceTest, OtherErrorsAreNotTriedAgain) {
  options_.calibration = TokenRows{{1, 2, 3, 80}, 2};
  LimitedBackend backend(size_t{1} << 30);
  const auto done = Run(backend);
  ASSERT_TRUE(done.has_error());
  EXPECT_EQ(done.error().reason, "token_out_of_range");
  EXPECT_EQ(note_, "");
}

}  // namespace
}  // namespace signum
