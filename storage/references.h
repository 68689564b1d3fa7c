#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "storage/catalog.h"
#include "storage/object_record.h"
#include "storage/object_store.h"

// What the catalog's records name of the object store: the ground of collection, scrub and audit.

namespace signum {

// The objects that reading a stored recipe's checkpoint takes: itself first, the headers, tensors
// and plain files that it names, and the bases of those that are encoded. An object may come more
// than once, and need not exist.
Result<std::vector<Digest>> ObjectsOfRecipe(const ObjectStore& objects, const Digest& recipe);

// What of these takes room since that moment. For whoever stored the recipe's objects from then on,
// in one go or, after a crash, in several.
Result<uint64_t> BytesStoredSince(const ObjectStore& objects, const Digest& recipe,
                                  UnixMicros since);

// What these take that no base and no version names: what a record that is about to name them adds,
// whoever stored them. Reads all recipes.
Result<uint64_t> UnnamedBytes(const ObjectStore& objects, const Catalog& catalog,
                              const std::vector<Digest>& digests);

// What reports and logs call a version: "tenant/model@3".
std::string NameOf(const VersionRecord& version);

// What a base names: its manifest, its recipe and all that this names.
Result<std::vector<Digest>> ObjectsOfBase(const ObjectStore& objects, const BaseRecord& base);
// What a version names and needs: delta file, manifest, recipe and, where the exact upload is kept,
// all that the recipe names.
Result<std::vector<Digest>> ObjectsOfVersion(const ObjectStore& objects,
                                             const VersionRecord& version);
// The objects without which a stored object cannot be read, as its record names them: what it is a
// difference from.
std::vector<Digest> ReferencesOfObject(const ObjectRecord& record);

// An object as the store has it. `value` is the encoded record, into which `record` points.
struct ScannedObject {
  Digest digest;
  ObjectRecord record;
  std::string value;
  std::optional<std::string> condemned;  // what CondemnedKey holds
};
// Every object, by digest. No snapshot: objects may come and go meanwhile.
Result<void> ForEachObject(const Engine& engine,
                           const std::function<Result<void>(const ScannedObject&)>& visit);

// All bases by name; all versions by tenant, model and number. The first error of `visit` ends it.
Result<void> ForEachBase(const Catalog& catalog,
                         const std::function<Result<void>(const BaseRecord&)>& visit);
Result<void> ForEachVersionOf(const Catalog& catalog, const std::string& tenant,
                              const std::string& model,
                              const std::function<Result<void>(const VersionRecord&)>& visit);
Result<void> ForEachVersion(const Catalog& catalog,
                            const std::function<Result<void>(const VersionRecord&)>& visit);

}  // namespace signum
