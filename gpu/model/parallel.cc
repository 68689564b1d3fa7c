#include "gpu/model/parallel.h"

#include <algorithm>
#include <thread>

#include "gpu/in_order.h"

namespace signum {

Compute::Compute(ops::Backend& b, int wanted) : backend(b) {
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  threads = backend.concurrent() ? (wanted > 0 ? wanted : cores) : 1;
}

Result<void> ParallelFor(const Compute& compute, int64_t pieces,
                         const std::function<Result<void>(size_t, int64_t)>& work) {
  InOrderWork in_order;
  in_order.pieces = static_cast<uint64_t>(pieces);
  in_order.compute = [&](size_t worker, uint64_t piece) {
    return work(worker, static_cast<int64_t>(piece));
  };
  in_order.commit = [](size_t, uint64_t) -> Result<void> { return {}; };
  in_order.tick = []() -> Result<void> { return {}; };
  return RunInOrder(in_order, compute.threads);
}

Pieces::Pieces(const Compute& compute, const Sequences& all, int64_t at_once)
    : all_(all),
      at_once_(compute.backend.concurrent() ? at_once : std::max<int64_t>(all.count, 1)),
      count_((all.count + at_once_ - 1) / at_once_) {}

Sequences Pieces::operator[](int64_t piece) const {
  const int64_t begin = piece * at_once_;
  return {all_.first + begin, std::min(at_once_, all_.count - begin), all_.tokens};
}

Result<void> CheckBackend(ops::Backend& backend) {
  const std::string error = backend.TakeError();
  if (error.empty()) return {};
  return Fail(Errc::kUnavailable, "device_failed", backend.name() + ": " + error);
}

}  // namespace signum
