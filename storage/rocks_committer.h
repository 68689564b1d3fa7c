#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "storage/rocks_database.h"

namespace rocksdb {
class WriteBatch;
}

namespace signum {

// Commits batches with preconditions: one thread at a time checks and writes those of everyone who
// waits, with one synced write. Nothing is visible before it is durable. Thread-safe.
class RocksCommitter {
 public:
  explicit RocksCommitter(std::shared_ptr<RocksDatabase> database)
      : database_(std::move(database)) {}

  Result<void> Commit(const Batch& batch);

 private:
  struct Request {
    const Batch* batch = nullptr;
    Result<void> result;
    bool done = false;
  };
  // What earlier batches of the same group will have written.
  using Overlay = std::map<std::string, std::optional<std::string>, std::less<>>;

  void CommitGroup(const std::vector<Request*>& group);
  Result<void> Check(const Batch& batch, const Overlay& overlay) const;
  Result<bool> Holds(const Precondition& condition, const Overlay& overlay) const;
  Result<void> Write(rocksdb::WriteBatch& writes);

  std::shared_ptr<RocksDatabase> database_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Request*> waiting_;
  bool leading_ = false;  // a thread is committing a group
};

}  // namespace signum
