#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "client/node/serve/device.h"
#include "storage/base/result.h"

namespace signum::client {

// What is given back when an event of the device has passed, by a thread that waits for it, so that
// whoever gives it back does not. In the order of the calls. Thread-safe.
class LateReleases {
 public:
  explicit LateReleases(std::shared_ptr<const ServingDevice> device);
  ~LateReleases() { Stop(); }
  LateReleases(const LateReleases&) = delete;
  LateReleases& operator=(const LateReleases&) = delete;

  // `event` is a cudaEvent_t of the caller, as it is recorded now. Once stopped, it is waited for
  // here. Errc::kUnavailable device_failed; then `release` will not be called.
  Result<void> Add(void* event, std::function<void()> release);
  // Waits for all that were added. Idempotent.
  void Stop();

 private:
  struct Release {
    void* event;
    std::function<void()> run;
  };
  void Loop();
  void Finish(const Release& release);

  const std::shared_ptr<const ServingDevice> device_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Release> queue_;
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace signum::client
