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

Result<void> MarkRecipe(const ObjectStore& objects, const Digest& recipe, Marked& marked) {
  if (marked.contains(recipe)) return {};
  SIGNUM_ASSIGN(const auto named, ObjectsOfRecipe(objects, recipe));
  marked.insert(named.begin(), named.end());
  return {};
}

// Everything that is named. A recipe that cannot be read ends it: what it names is not known.
Result<Marked> Mark(const ObjectStore& objects, const Catalog& catalog) {
  Marked marked;
  SIGNUM_TRY(ForEachBase(catalog, [&](const BaseRecord& base) -> Result<void> {
    marked.insert(base.digest);
    return MarkRecipe(objects, base.recipe, marked);
  }));
  SIGNUM_TRY(ForEachVersion(catalog, [&](const VersionRecord& version) -> Result<void> {
    if (version.delta) marked.insert(*version.delta);
    if (version.manifest) marked.insert(*version.manifest);
    return version.recipe ? MarkRecipe(objects, *version.recipe, marked) : Result<void>();
  }));
  return marked;
}

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
        if (record.kind == ObjectRecord::Kind::kBlob) blobs.insert(record.blob);
        continue;
      }
      SIGNUM_TRY(objects.Delete(digest));
      ++report.objects;
      report.bytes += record.size;
    }
    if (page.size() < kPage) return blobs;
    begin = page.back().key + '\0';
  }
}

}  // namespace

Result<SweepReport> SweepStore(Engine& engine, ObjectStore& objects, const Catalog& catalog,
                               UnixMicros older_than) {
  SweepReport report;
  SIGNUM_ASSIGN(const Marked marked, Mark(objects, catalog));
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
