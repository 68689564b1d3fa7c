#pragma once

#include <functional>
#include <vector>

#include "storage/catalog.h"
#include "storage/object_store.h"

// What the catalog's records name of the object store: the ground of the sweep and of the audit.

namespace signum {

// The objects that reading a stored recipe's checkpoint takes: itself first, the headers, tensors
// and plain files that it names, and the bases of those that are encoded. An object may come more
// than once, and need not exist.
Result<std::vector<Digest>> ObjectsOfRecipe(const ObjectStore& objects, const Digest& recipe);

// All bases by name; all versions by tenant, model and number. The first error of `visit` ends it.
Result<void> ForEachBase(const Catalog& catalog,
                         const std::function<Result<void>(const BaseRecord&)>& visit);
Result<void> ForEachVersion(const Catalog& catalog,
                            const std::function<Result<void>(const VersionRecord&)>& visit);

}  // namespace signum
