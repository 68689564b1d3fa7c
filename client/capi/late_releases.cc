#include "client/capi/late_releases.h"

#include <spdlog/spdlog.h>

namespace signum::client {

LateReleases::LateReleases(std::shared_ptr<const ServingDevice> device)
    : device_(std::move(device)), thread_([this] { Loop(); }) {}

Result<void> LateReleases::Add(void* event, std::function<void()> release) {
  void* after = device_->transfers().EventAfter(event);
  if (after == nullptr) {
    return Fail(Errc::kUnavailable, "device_failed", device_->name() + " refuses the event");
  }
  Release late{after, std::move(release)};
  {
    const std::lock_guard lock(mutex_);
    if (!stopped_) {
      queue_.push_back(std::move(late));
      wake_.notify_one();
      return {};
    }
  }
  Finish(late);
  return {};
}

// A device that has failed runs nothing any more that could read the memory.
void LateReleases::Finish(const Release& release) {
  if (!device_->transfers().WaitForEvent(release.event)) {
    spdlog::warn("{} has failed: a lease is given back without its event", device_->name());
  }
  device_->transfers().DestroyEvent(release.event);
  release.run();
}

void LateReleases::Loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return stopped_ || !queue_.empty(); });
    if (queue_.empty()) return;
    {
      const Release next = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      Finish(next);
    }
    lock.lock();
  }
}

void LateReleases::Stop() {
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
  }
  wake_.notify_one();
  if (thread_.joinable()) thread_.join();
}

}  // namespace signum::client
