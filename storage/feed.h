#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <vector>

#include "storage/catalog.h"
#include "storage/transaction.h"

namespace signum {

// The watch feed: entries lie with their tenant, so that one is written in the same batch as the
// change it tells of; numbers are given out here, one after another over all tenants. Thread-safe.
class Feed {
 public:
  // Keeps the newest `keep` entries of each tenant.
  Feed(Engine& engine, uint64_t keep) : engine_(engine), keep_(keep) {}

  // The right to append; held over the commit, so that entries become visible in the order of their
  // numbers. Its end publishes the number used, if any. Take it before the transaction begins.
  class Hold {
   public:
    explicit Hold(Feed& feed) : feed_(feed), lock_(feed.mutex_) {}
    ~Hold();
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;
    // Adds the entry to the transaction, and the removal of the oldest beyond what is kept.
    Result<void> Append(Transaction& transaction, FeedEntry entry);

   private:
    Feed& feed_;
    std::lock_guard<std::mutex> lock_;
    uint64_t used_ = 0;
  };

  Result<uint64_t> Seq() const;  // of the newest entry
  Result<std::vector<FeedEntry>> Read(const std::vector<std::string>& tenants, uint64_t since,
                                      size_t limit) const;  // as Catalog::ReadFeed

 private:
  Result<void> Load() const;
  Result<void> ReadTenant(std::string_view tenant, uint64_t since, uint64_t last, size_t limit,
                          std::vector<FeedEntry>& out) const;

  Engine& engine_;
  const uint64_t keep_;
  std::mutex mutex_;
  mutable std::mutex load_mutex_;
  mutable std::atomic<bool> loaded_ = false;
  mutable std::atomic<uint64_t> last_ = 0;
};

}  // namespace signum
