#include "server/watch_hub.h"

#include <mutex>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace signum {

struct WatchHub::Watcher {
  std::vector<std::string> tenants;
  std::function<void()> wake;
};

struct WatchHub::Table {
  std::mutex mutex;
  std::unordered_map<std::string, std::unordered_set<std::shared_ptr<Watcher>>> by_tenant;

  void Add(const std::shared_ptr<Watcher>& watcher) {
    const std::lock_guard lock(mutex);
    for (const std::string& tenant : watcher->tenants) by_tenant[tenant].insert(watcher);
  }
  void Remove(const std::shared_ptr<Watcher>& watcher) {
    const std::lock_guard lock(mutex);
    for (const std::string& tenant : watcher->tenants) {
      const auto found = by_tenant.find(tenant);
      if (found == by_tenant.end()) continue;
      found->second.erase(watcher);
      if (found->second.empty()) by_tenant.erase(found);
    }
  }
  // Wakes outside the lock: `wake` may drop a handle.
  void Wake(std::string_view tenant) {
    std::vector<std::shared_ptr<Watcher>> woken;
    {
      const std::lock_guard lock(mutex);
      const auto found = by_tenant.find(std::string(tenant));
      if (found != by_tenant.end()) woken.assign(found->second.begin(), found->second.end());
    }
    for (const auto& watcher : woken) watcher->wake();
  }
};

WatchHub::WatchHub(Catalog& catalog)
    : table_(std::make_shared<Table>()),
      feed_(catalog.WatchFeed([table = table_](std::string_view tenant) { table->Wake(tenant); })) {
}

std::shared_ptr<void> WatchHub::Subscribe(const std::vector<std::string>& tenants,
                                          std::function<void()> wake) {
  auto watcher = std::make_shared<Watcher>(Watcher{tenants, std::move(wake)});
  table_->Add(watcher);
  void* const handle = watcher.get();
  return {handle,
          [table = table_, watcher = std::move(watcher)](void*) { table->Remove(watcher); }};
}

}  // namespace signum
