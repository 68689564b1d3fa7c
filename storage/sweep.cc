#include "storage/sweep.h"

#include <algorithm>
#include <optional>
#include <string>
#include <unordered_set>

#include "storage/object_record.h"
#include "storage/references.h"

namespace signum {

namespace {

constexpr size_t kPage = 256;  // records of inline objects may be 64 KiB each

using Marked = std::unordered_set<Digest>;

// Everything that is named. A recipe that cannot be read ends it: what it names is not known.
class Marker {
 public:
  Marker(const ObjectStore& objects, const Catalog& catalog)
      : objects_(objects), catalog_(catalog) {}

  Result<Marked> Run() {
    SIGNUM_TRY(ForEachBase(catalog_, [this](const BaseRecord& base) -> Result<void> {
      marked_.insert(base.digest);
      return MarkRecipe(base.recipe);
    }));
    SIGNUM_TRY(ForEachVersion(catalog_, [this](const VersionRecord& version) -> Result<void> {
      for (const auto& object : {version.delta, version.manifest, version.recipe}) {
        if (object) marked_.insert(*object);
      }
      return version.exact_kept ? MarkRecipe(*version.recipe) : Result<void>();
    }));
    return std::move(marked_);
  }

 private:
  Result<void> MarkRecipe(const Digest& recipe) {
    if (!recipes_.insert(recipe).second) return {};
    SIGNUM_ASSIGN(const auto named, ObjectsOfRecipe(objects_, recipe));
    marked_.insert(named.begin(), named.end());
    return {};
  }

  const ObjectStore& objects_;
  const Catalog& catalog_;
  Marked marked_;
  std::unordered_set<Digest> recipes_;  // whose objects are marked
};

// Removes unmarked objects and returns the blobs of those that stay.
Result<std::unordered_set<uint64_t>> SweepObjects(Engine& engine, ObjectStore& objects,
                                                  const Marked& marked, UnixMicros older_than,
                                                  SweepReport& report) {
  std::unordered_set<uint64_t> blobs;
  std::string begin(kObjectPrefix);
  const std::string end = "o0";  // '0' follows '/'
  for (;;) {
    SIGNUM_ASSIGN(const auto page, engine.Scan(begin, end, kPage));
    for (const KeyValue& item : page) {
      SIGNUM_ASSIGN(const Digest digest, DigestOfObjectKey(item.key));
      SIGNUM_ASSIGN(const ObjectRecord record, ObjectRecord::Decode(item.value, item.key));
      if (marked.contains(digest) || record.created >= older_than) {
        if (record.in_blob()) blobs.insert(record.blob);
        continue;
      }
      SIGNUM_TRY(objects.Delete(digest));
      ++report.objects;
      report.bytes += record.stored_bytes();
    }
    if (page.size() < kPage) return blobs;
    begin = page.back().key + '\0';
  }
}

}  // namespace

Result<SweepReport> SweepStore(Engine& engine, ObjectStore& objects, const Catalog& catalog,
                               UnixMicros older_than) {
  SweepReport report;
  SIGNUM_ASSIGN(const Marked marked, Marker(objects, catalog).Run());
  SIGNUM_ASSIGN(const auto named, SweepObjects(engine, objects, marked, older_than, report));
  SIGNUM_ASSIGN(const auto blobs, engine.ListBlobs());
  for (const uint64_t blob : blobs) {
    if (named.contains(blob)) continue;
    SIGNUM_TRY(engine.DeleteBlob(blob));
    ++report.blobs;
  }
  return report;
}

}  // namespace signum
