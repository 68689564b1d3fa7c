#pragma once

#include <functional>

#include "gpu/ops/backend.h"
#include "storage/base/result.h"

namespace signum {

// Where and how a model is computed.
struct Compute {
  ops::Backend& backend;
  int threads = 1;  // of the host; one where the backend is not concurrent

  Compute(ops::Backend& backend, int threads);  // threads 0: one a core
};

// Calls work(worker, piece) for pieces [0, pieces), on compute.threads threads; worker < threads.
// The first error ends it.
Result<void> ParallelFor(const Compute& compute, int64_t pieces,
                         const std::function<Result<void>(size_t, int64_t)>& work);

// Sequences [first, first + count) of a batch, `tokens` rows each.
struct Sequences {
  int64_t first = 0, count = 0, tokens = 0;

  int64_t first_row() const { return first * tokens; }
  int64_t rows() const { return count * tokens; }
};

// Cuts `all` for ParallelFor: `at_once` sequences a piece on a concurrent backend, else one piece.
// Where it is cut does not depend on the number of threads, so neither do results.
class Pieces {
 public:
  Pieces(const Compute& compute, const Sequences& all, int64_t at_once = 1);
  int64_t count() const { return count_; }
  Sequences operator[](int64_t piece) const;

 private:
  Sequences all_;
  int64_t at_once_, count_;
};

// Errc::kExhausted "device_memory" unless the buffer has memory.
template <class T>
Result<ops::Buffer<T>> MakeBuffer(ops::Backend& backend, int64_t size) {
  ops::Buffer<T> buffer(backend, static_cast<size_t>(size));
  if (buffer) return buffer;
  return Fail(Errc::kExhausted, "device_memory",
              backend.name() + " has no room for " +
                  std::to_string(static_cast<uint64_t>(size) * sizeof(T)) + " bytes");
}

// An error of the backend's as one of ours.
Result<void> CheckBackend(ops::Backend& backend);

}  // namespace signum
