#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace signum::ops {

// Threads that stand by to share a caller's work, piece by piece: for the products of a decoding
// step, many of which are over before a thread could be started. Between two calls they look out
// for a moment, then sleep.
class Crew {
 public:
  explicit Crew(int threads);  // the caller's included
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  int threads() const { return static_cast<int>(helpers_.size()) + 1; }
  // Calls work(piece) for each of [0, pieces), on this thread and the others; returns when all are
  // done. Whoever calls while the others are busy works alone. `work` does not throw.
  void Run(int64_t pieces, const std::function<void(int64_t)>& work);

 private:
  void Help();
  void Work(const std::function<void(int64_t)>& work, int64_t pieces);

  std::atomic<int64_t> next_{0};   // piece
  std::atomic<uint64_t> call_{0};  // counts calls; written under the mutex
  std::atomic<int> inside_{0};     // helpers at work; likewise
  std::mutex caller_;              // held by whom the others work for
  std::mutex mutex_;
  std::condition_variable called_, left_;
  const std::function<void(int64_t)>* work_ = nullptr;  // of the open call
  int64_t pieces_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> helpers_;
};

// Divides [0, n) among a crew where it is worth it: use(first, count) with counts that are
// multiples of `unit` (the last aside), each of which costs `unit_cost` multiplications or so. On
// the calling thread alone where crew is null.
void Divide(Crew* crew, int64_t n, int64_t unit, int64_t unit_cost,
            const std::function<void(int64_t, int64_t)>& use);

}  // namespace signum::ops
