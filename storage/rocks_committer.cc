#include "storage/rocks_committer.h"

#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <utility>

#include "storage/engine_errors.h"

namespace signum {

namespace {

void AddMutations(const Batch& batch, rocksdb::WriteBatch& writes) {
  for (const Mutation& mutation : batch.mutations) {
    if (mutation.value) {
      writes.Put(mutation.key, *mutation.value);
    } else {
      writes.Delete(mutation.key);
    }
  }
}

}  // namespace

Result<void> RocksCommitter::Commit(const Batch& batch) {
  Request mine;
  mine.batch = &batch;
  std::unique_lock lock(mutex_);
  waiting_.push_back(&mine);
  changed_.wait(lock, [&] { return mine.done || !leading_; });
  if (mine.done) return mine.result;
  leading_ = true;
  const std::vector<Request*> group = std::exchange(waiting_, {});  // this thread's among them
  lock.unlock();
  CommitGroup(group);
  lock.lock();
  for (Request* request : group) request->done = true;
  leading_ = false;
  changed_.notify_all();
  return mine.result;
}

void RocksCommitter::CommitGroup(const std::vector<Request*>& group) {
  Overlay overlay;
  rocksdb::WriteBatch writes;
  for (Request* request : group) {
    request->result = Check(*request->batch, overlay);
    if (!request->result) continue;
    for (const Mutation& m : request->batch->mutations) overlay[m.key] = m.value;
    AddMutations(*request->batch, writes);
  }
  if (writes.Count() == 0) return;
  const Result<void> written = Write(writes);
  if (written) return;
  for (Request* request : group) {
    if (request->result) request->result = written;
  }
}

Result<void> RocksCommitter::Check(const Batch& batch, const Overlay& overlay) const {
  for (const Precondition& condition : batch.preconditions) {
    SIGNUM_ASSIGN(const bool holds, Holds(condition, overlay));
    if (!holds) return PreconditionFailed(condition.key);
  }
  return {};
}

Result<bool> RocksCommitter::Holds(const Precondition& condition, const Overlay& overlay) const {
  if (const auto it = overlay.find(condition.key); it != overlay.end()) {
    return it->second == condition.value;
  }
  SIGNUM_ASSIGN(const auto session, database_->Use());
  rocksdb::PinnableSlice value;
  const rocksdb::Status status =
      session.db().Get(rocksdb::ReadOptions(), session.keys(), condition.key, &value);
  if (status.IsNotFound()) return !condition.value.has_value();
  if (!status.ok()) return FromRocks(status, "read " + condition.key);
  return condition.value.has_value() && value == rocksdb::Slice(*condition.value);
}

Result<void> RocksCommitter::Write(rocksdb::WriteBatch& writes) {
  SIGNUM_TRY(database_->Heal());
  SIGNUM_ASSIGN(const auto session, database_->Use());
  rocksdb::WriteOptions options;
  options.sync = true;
  return database_->Note(session.db().Write(options, &writes), "write");
}

}  // namespace signum
