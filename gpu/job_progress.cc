#include "gpu/job_progress.h"

#include <algorithm>

namespace signum {

void JobProgress::StartTensor(std::string_view name, uint64_t bytes) {
  before_ += tensor_bytes_;
  tensor_ = name;
  tensor_bytes_ = bytes;
  passes_ = 1;
  worked_ = 0;
}

Result<void> JobProgress::Tick() {
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ < std::chrono::milliseconds(100)) return {};
  last_ = now;
  const uint64_t share = worked_ / static_cast<uint64_t>(passes_);
  return Report((before_ + std::min(share, tensor_bytes_)) / static_cast<uint64_t>(rounds_));
}

Result<void> JobProgress::Done() { return Report(total_); }

Result<void> JobProgress::Report(uint64_t done) {
  if (!callback_ || callback_({tensor_, done, total_})) return {};
  return Fail(Errc::kCancelled, "cancelled", "compression was cancelled");
}

}  // namespace signum
