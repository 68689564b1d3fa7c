#pragma once

#include <cstdint>
#include <functional>

#include "storage/base/result.h"

namespace signum {

// Work on numbered pieces: `compute` runs on several threads at once, `commit` one at a time in
// ascending order of the pieces, so that the outcome does not depend on the number of threads.
struct InOrderWork {
  uint64_t pieces = 0;
  // (worker, piece): worker < threads has one piece in hand at a time, so buffers can be per
  // worker.
  std::function<Result<void>(size_t, uint64_t)> compute;
  std::function<Result<void>(size_t, uint64_t)> commit;
  // Called on the calling thread between its pieces.
  std::function<Result<void>()> tick;
};

// Runs it on the calling thread and `threads` - 1 more; returns when all have stopped. The error is
// that of the first piece that fails, or tick's.
Result<void> RunInOrder(const InOrderWork& work, int threads);

}  // namespace signum
