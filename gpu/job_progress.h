#pragma once

#include <atomic>
#include <chrono>

#include "gpu/compress.h"

namespace signum {

// Turns work done on rows into the CompressProgress a caller sees.
class JobProgress {
 public:
  JobProgress(const CompressCallback& callback, uint64_t bytes_total)
      : callback_(callback), total_(bytes_total) {}

  // The next tensor: its data will be gone through about `passes` times.
  void StartTensor(std::string_view name, uint64_t bytes);
  void ExpectPasses(int passes) { passes_ = passes; }
  // All tensors will be started so many times; said before the first.
  void ExpectRounds(int rounds) { rounds_ = rounds; }
  // Bytes of the tensor gone through, once; any thread.
  void Add(uint64_t bytes) { worked_ += bytes; }
  // Calls back if a tenth of a second has passed; Errc::kCancelled where it says so.
  Result<void> Tick();
  // Calls back now: everything is done.
  Result<void> Done();

 private:
  Result<void> Report(uint64_t done);

  const CompressCallback& callback_;
  uint64_t total_;
  std::string_view tensor_;
  uint64_t before_ = 0;  // bytes of the tensors that are done
  uint64_t tensor_bytes_ = 0;
  int passes_ = 1;
  int rounds_ = 1;
  std::atomic<uint64_t> worked_{0};
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace signum
