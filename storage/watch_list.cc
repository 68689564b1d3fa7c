#include "storage/watch_list.h"

#include <utility>
#include <vector>

namespace signum {

std::shared_ptr<void> WatchList::Add(std::string prefix, Callback callback) {
  auto subscription = std::make_shared<Subscription>();
  subscription->prefix = std::move(prefix);
  subscription->callback = std::move(callback);
  uint64_t number = 0;
  {
    std::lock_guard lock(subscriptions_->mutex);
    number = subscriptions_->next++;
    subscriptions_->by_number.emplace(number, subscription);
  }
  Subscription* const raw = subscription.get();
  const auto end = [all = std::weak_ptr(subscriptions_), number,
                    held = std::move(subscription)](Subscription*) {
    if (const auto list = all.lock()) {
      std::lock_guard lock(list->mutex);
      list->by_number.erase(number);
    }
    std::lock_guard lock(held->mutex);
    held->active = false;
  };
  return {raw, end};
}

void WatchList::Notify(std::string_view key) const {
  std::vector<std::shared_ptr<Subscription>> matching;
  {
    std::lock_guard lock(subscriptions_->mutex);
    for (const auto& [number, subscription] : subscriptions_->by_number) {
      if (key.starts_with(subscription->prefix)) matching.push_back(subscription);
    }
  }
  for (const auto& subscription : matching) {
    std::lock_guard lock(subscription->mutex);
    if (subscription->active) subscription->callback(key);
  }
}

}  // namespace signum
