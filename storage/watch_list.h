#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace signum {

// Subscriptions to keys by prefix. Thread-safe.
//
// Destroying a subscription's handle waits for a call of its callback on another thread to end, so
// the callback's captures may go right after; do not destroy it under a lock that the callback
// takes. A callback may destroy its own handle.
class WatchList {
 public:
  using Callback = std::function<void(std::string_view key)>;

  WatchList() : subscriptions_(std::make_shared<Subscriptions>()) {}

  std::shared_ptr<void> Add(std::string prefix, Callback callback);
  // Calls back, on this thread, everyone whose prefix `key` begins with.
  void Notify(std::string_view key) const;

 private:
  struct Subscription {
    std::string prefix;
    Callback callback;
    std::recursive_mutex mutex;  // held during a call
    bool active = true;
  };
  struct Subscriptions {
    std::mutex mutex;
    uint64_t next = 0;
    std::map<uint64_t, std::shared_ptr<Subscription>> by_number;
  };
  std::shared_ptr<Subscriptions> subscriptions_;
};

}  // namespace signum
