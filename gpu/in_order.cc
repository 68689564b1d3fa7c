#include "gpu/in_order.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace signum {
namespace {

class Runner {
 public:
  explicit Runner(const InOrderWork& work) : work_(work) {}

  void Work(size_t worker) {
    while (!stopped_) {
      const uint64_t piece = next_++;
      if (piece >= work_.pieces) return;
      if (!Piece(worker, piece)) return;
      if (worker == 0) Note(work_.tick());
    }
  }

  Result<void> Outcome() {
    if (error_) return std::move(*error_);
    return {};
  }

 private:
  bool Piece(size_t worker, uint64_t piece) {
    Result<void> result = work_.compute(worker, piece);
    std::unique_lock lock(mutex_);
    turn_changed_.wait(lock, [&] { return turn_ == piece || stopped_; });
    if (stopped_) return false;
    if (result) result = work_.commit(worker, piece);
    if (!result) {
      Stop(std::move(result).error());
      return false;
    }
    ++turn_;
    turn_changed_.notify_all();
    return true;
  }

  void Note(Result<void> result) {
    if (result) return;
    const std::lock_guard lock(mutex_);
    if (!stopped_) Stop(std::move(result).error());
  }

  void Stop(Error error) {  // with mutex_ held
    error_ = std::move(error);
    stopped_ = true;
    turn_changed_.notify_all();
  }

  const InOrderWork& work_;
  std::atomic<uint64_t> next_{0};
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;
  std::condition_variable turn_changed_;
  uint64_t turn_ = 0;
  std::optional<Error> error_;
};

}  // namespace

Result<void> RunInOrder(const InOrderWork& work, int threads) {
  Runner runner(work);
  const auto wanted = static_cast<uint64_t>(std::max(threads, 1));
  std::vector<std::thread> others;
  for (size_t worker = 1; worker < std::min(wanted, work.pieces); ++worker) {
    others.emplace_back([&runner, worker] { runner.Work(worker); });
  }
  runner.Work(0);
  for (std::thread& other : others) other.join();
  return runner.Outcome();
}

}  // namespace signum
