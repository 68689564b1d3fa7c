#include "storage/collector.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <unordered_map>
#include <utility>

#include "storage/references.h"

namespace signum {

namespace {

using Marked = std::unordered_set<Digest>;

constexpr int64_t kLeaseMicros = 60ll * 1'000'000;
// Rewriting the keys costs their size, so it is left to RocksDB's own compactions below this.
constexpr uint64_t kCompactBytes = 1 << 20;

// Adds what marked objects need to be read.
Result<void> MarkNeeded(const Engine& engine, Marked& marked) {
  std::unordered_map<Digest, std::vector<Digest>> needed;
  SIGNUM_TRY(ForEachObject(engine, [&](const ScannedObject& object) -> Result<void> {
    auto references = ReferencesOfObject(object.record);
    if (!references.empty()) needed.emplace(object.digest, std::move(references));
    return {};
  }));
  std::vector<Digest> open;
  for (const auto& [digest, references] : needed) {
    if (marked.contains(digest)) open.push_back(digest);
  }
  while (!open.empty()) {
    const auto at = needed.find(open.back());
    open.pop_back();
    if (at == needed.end()) continue;
    for (const Digest& reference : at->second) {
      if (marked.insert(reference).second) open.push_back(reference);
    }
  }
  return {};
}

std::optional<int64_t> MomentOf(const std::string& mark) {
  int64_t moment = 0;
  const char* const end = mark.data() + mark.size();
  const auto [parsed, error] = std::from_chars(mark.data(), end, moment);
  return error == std::errc() && parsed == end ? std::optional(moment) : std::nullopt;
}

}  // namespace

// One run.
class Collector::Pass {
 public:
  Pass(Collector& collector, const CollectOptions& options, const CollectProgress& progress)
      : engine_(collector.engine_),
        objects_(collector.objects_),
        catalog_(collector.catalog_),
        clock_(collector.clock_),
        unnamed_blobs_(collector.unnamed_blobs_),
        options_(options),
        progress_(progress) {}

  Result<CollectReport> Run() {
    SIGNUM_ASSIGN(lease_, engine_.AcquireLease("collect", "collector", kLeaseMicros));
    SIGNUM_TRY(clock_.Save());
    limit_ = clock_.Now() - options_.grace_micros;
    if (const auto oldest = objects_.OldestHold())
      limit_ = std::min(limit_, clock_.At(*oldest) - 1);
    SIGNUM_ASSIGN(const auto blobs, engine_.ListBlobs());  // before the records that name them
    SIGNUM_TRY(Mark());
    SIGNUM_TRY(Step(0.3));
    SIGNUM_TRY(Sweep());
    SIGNUM_TRY(SweepBlobs(blobs));
    if (compactable_ >= kCompactBytes) SIGNUM_TRY(engine_.Reclaim("o/", "o0"));
    SIGNUM_TRY(clock_.Save());
    return std::move(report_);
  }

 private:
  Result<void> Step(double done) {
    SIGNUM_TRY(lease_->Renew());
    if (!progress_ || progress_(done)) return {};
    return Fail(Errc::kCancelled, "cancelled", "garbage collection was stopped");
  }

  Result<void> Mark() {
    SIGNUM_TRY(ForEachBase(catalog_, [this](const BaseRecord& base) { return MarkBase(base); }));
    SIGNUM_TRY(ForEachVersion(
        catalog_, [this](const VersionRecord& version) { return MarkVersion(version); }));
    return MarkNeeded(engine_, marked_);
  }

  Result<void> MarkBase(const BaseRecord& base) {
    SIGNUM_ASSIGN(const auto named, ObjectsOfBase(objects_, base));
    marked_.insert(named.begin(), named.end());
    return {};
  }

  Result<void> MarkVersion(const VersionRecord& version) {
    SIGNUM_TRY(Step(0.1));
    SIGNUM_ASSIGN(const auto named, ObjectsOfVersion(objects_, version));
    const std::string name = NameOf(version);
    if (!options_.without.contains(name)) {
      marked_.insert(named.begin(), named.end());
      return {};
    }
    for (const Digest& digest : named) only_of_.emplace(digest, name);
    return {};
  }

  Result<void> Sweep() {
    const auto swept =
        ForEachObject(engine_, [this](const ScannedObject& object) { return SweepObject(object); });
    return swept.has_error() ? swept : WriteMarks();
  }

  // A batch of marks may not span two parts of the object table.
  Result<void> SweepObject(const ScannedObject& object) {
    if (object.digest.bytes[0] != part_) {
      SIGNUM_TRY(WriteMarks());
      part_ = object.digest.bytes[0];
      SIGNUM_TRY(Step(0.3 + 0.6 * static_cast<double>(part_) / 256));
    }
    if (object.record.in_blob()) named_blobs_.insert(object.record.blob);
    return See(object);
  }

  Result<void> See(const ScannedObject& object) {
    if (marked_.contains(object.digest)) {
      ++report_.live;
      if (object.condemned && !options_.dry_run) marks_.Delete(CondemnedKey(object.digest));
      return {};
    }
    const auto since = object.condemned ? MomentOf(*object.condemned) : std::nullopt;
    const bool goes = since && *since <= limit_;
    if (goes && !options_.dry_run) return Remove(object);
    if (!since && !options_.dry_run) condemned_.push_back(object.digest);
    List(object, goes);
    return {};
  }

  // Depends on object and mark as they were seen: who wants the object meanwhile keeps it.
  Result<void> Remove(const ScannedObject& object) {
    Batch batch;
    batch.Require(ObjectKey(object.digest), object.value);
    batch.Require(CondemnedKey(object.digest), object.condemned);
    batch.Delete(ObjectKey(object.digest));
    batch.Delete(CondemnedKey(object.digest));
    const auto removed = engine_.Commit(batch);
    if (removed.has_error()) {
      return removed.error().code == Errc::kPrecondition ? Result<void>() : removed;
    }
    if (object.record.damaged()) objects_.ForgetDamaged();
    if (!object.record.in_blob()) {
      compactable_ += object.record.stored_bytes();
    } else {
      const auto deleted = engine_.DeleteBlob(object.record.blob);
      if (deleted.has_error() && deleted.error().code != Errc::kNotFound) return deleted;
    }
    List(object, true);
    return {};
  }

  void List(const ScannedObject& object, bool goes) {
    std::string why = "no base and no version names it";
    if (const auto at = only_of_.find(object.digest); at != only_of_.end()) {
      why = "only " + at->second + " names it, which is out of policy";
    }
    Add({object.digest.Text(), object.record.stored_bytes(), std::move(why), goes});
  }

  void Add(Garbage garbage) {
    ++(garbage.goes ? report_.removed : report_.waiting);
    (garbage.goes ? report_.removed_bytes : report_.waiting_bytes) += garbage.bytes;
    if (report_.listed.size() < CollectReport::kMaxListed) {
      report_.listed.push_back(std::move(garbage));
    }
  }

  Result<void> WriteMarks() {
    Batch marks = std::exchange(marks_, {});
    const auto condemned = std::exchange(condemned_, {});
    if (marks.mutations.empty() && condemned.empty()) return {};
    return objects_.BetweenHolds([&] {
      const std::string now = std::to_string(clock_.Now());
      for (const Digest& digest : condemned) marks.Put(CondemnedKey(digest), now);
      return engine_.Commit(marks);
    });
  }

  // A blob without a record is being named just now, or was left by a write that failed.
  Result<void> SweepBlobs(const std::vector<uint64_t>& blobs) {
    std::map<uint64_t, int64_t> unnamed;
    for (const uint64_t blob : blobs) {
      if (named_blobs_.contains(blob)) continue;
      const auto before = unnamed_blobs_.find(blob);
      const int64_t since = before == unnamed_blobs_.end() ? clock_.Now() : before->second;
      if (since > limit_ || options_.dry_run) {
        unnamed.emplace(blob, since);
        continue;
      }
      const auto deleted = engine_.DeleteBlob(blob);
      if (deleted.has_value()) ++report_.blobs;
      if (deleted.has_error() && deleted.error().code != Errc::kNotFound) return deleted;
    }
    unnamed_blobs_ = std::move(unnamed);
    return {};
  }

  Engine& engine_;
  ObjectStore& objects_;
  const Catalog& catalog_;
  StoreClock& clock_;
  std::map<uint64_t, int64_t>& unnamed_blobs_;
  const CollectOptions& options_;
  const CollectProgress& progress_;
  std::unique_ptr<EngineLease> lease_;
  int64_t limit_ = 0;  // what was condemned later stays
  Marked marked_;
  std::unordered_map<Digest, std::string> only_of_;  // named by versions to be left out
  std::unordered_set<uint64_t> named_blobs_;
  Batch marks_;                    // to be taken back, of one part of the object table
  std::vector<Digest> condemned_;  // of that part
  std::byte part_{};
  uint64_t compactable_ = 0;
  CollectReport report_;
};

Result<CollectReport> Collector::Run(const CollectOptions& options,
                                     const CollectProgress& progress) {
  return Pass(*this, options, progress).Run();
}

Result<StrayReport> RemoveStrayBlobs(Engine& engine) {
  StrayReport report;
  std::unordered_set<uint64_t> named;
  SIGNUM_TRY(ForEachObject(engine, [&](const ScannedObject& object) -> Result<void> {
    if (object.record.in_blob()) named.insert(object.record.blob);
    if (object.record.damaged()) ++report.damaged;
    return {};
  }));
  SIGNUM_ASSIGN(const auto blobs, engine.ListBlobs());
  for (const uint64_t blob : blobs) {
    if (named.contains(blob)) continue;
    SIGNUM_TRY(engine.DeleteBlob(blob));
    ++report.blobs;
  }
  return report;
}

}  // namespace signum
