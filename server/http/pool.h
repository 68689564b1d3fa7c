#pragma once

#include <atomic>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <utility>

namespace signum::http {

// The threads that handlers, sinks and sources may block. Thread-safe.
class Pool {
 public:
  Pool(int threads, uint64_t max_queued)
      : max_queued_(max_queued), threads_(static_cast<size_t>(threads)) {}
  ~Pool() { threads_.join(); }

  // Whether a new request may still be queued; work that was begun always goes on.
  bool HasRoom() const { return queued_.load(std::memory_order_relaxed) < max_queued_; }

  template <class Work>
  void Post(Work work) {
    queued_.fetch_add(1, std::memory_order_relaxed);
    boost::asio::post(threads_, [this, work = std::move(work)]() mutable {
      queued_.fetch_sub(1, std::memory_order_relaxed);
      work();
    });
  }

 private:
  const uint64_t max_queued_;
  std::atomic<uint64_t> queued_{0};
  boost::asio::thread_pool threads_;
};

}  // namespace signum::http
