#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "storage/catalog.h"

namespace signum {

// Fans the one feed out to many waiting watchers by tenant, so that an entry costs as much as there
// are watchers of its tenant, not as there are watchers. Thread-safe.
class WatchHub {
 public:
  explicit WatchHub(Catalog& catalog);
  WatchHub(const WatchHub&) = delete;
  WatchHub& operator=(const WatchHub&) = delete;

  // Calls `wake` (cheap, any thread) after each feed entry of one of `tenants` until the handle is
  // dropped. A call that is under way when it is dropped may still come.
  std::shared_ptr<void> Subscribe(const std::vector<std::string>& tenants,
                                  std::function<void()> wake);

 private:
  struct Watcher;
  struct Table;
  std::shared_ptr<Table> table_;  // shared with handles, which may outlive the hub
  std::shared_ptr<void> feed_;
};

}  // namespace signum
