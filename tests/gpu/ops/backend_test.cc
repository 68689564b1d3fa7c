#include "gpu/ops/backend.h"

#include "tests/gpu/ops/cases.h"

namespace signum::ops {
namespace {

void Memory(Backend& backend, Report& report) {
  std::mt19937 random(1);
  for (const size_t size : {1U, 255U, 4096U, 1000001U}) {
    const std::vector<uint8_t> bytes = RandomBytes(random, size);
    const OnDevice<uint8_t> on_device(backend, bytes);
    report.True(reinterpret_cast<uintptr_t>(on_device.data()) % 256 == 0, "aligned to 256");
    report.Equal(on_device.Get(), bytes, "up and down");
    backend.Zero(on_device.data(), size);
    report.Equal(on_device.Get(), std::vector<uint8_t>(size), "zeroed");
  }
  report.True(backend.TakeError().empty(), "no error");
}

void TooMuchMemoryIsNull(Backend& backend, Report& report) {
  const Buffer<uint8_t> impossible(backend, size_t{1} << 60);
  report.True(!impossible, "2^60 bytes");
  const Buffer<float> little(backend, 8);
  report.True(static_cast<bool>(little), "memory after a refusal");
  report.True(backend.TakeError().empty(), "a refusal is no error");
}

}  // namespace

std::vector<Case> BackendCases() {
  return {Case{"BackendMemory", Memory}, Case{"BackendTooMuchMemoryIsNull", TooMuchMemoryIsNull}};
}

}  // namespace signum::ops
