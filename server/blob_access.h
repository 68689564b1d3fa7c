#pragma once

#include <memory>
#include <string>
#include <vector>

#include "server/principal.h"
#include "server/stored_models.h"
#include "storage/catalog.h"

namespace signum {

// Who may read which stored object by its digest: an admin all of them; others what a base is made
// of, and what the versions of their tenants are made of: delta file, manifest, recipe and, where
// the exact upload is kept, its parts. Objects are shared between tenants, so having one's digest
// is not enough. Thread-safe.
class BlobAccess {
 public:
  BlobAccess(const Catalog& catalog, StoredModels& models) : catalog_(catalog), models_(models) {}

  // An error only where the records cannot be read.
  Result<bool> MayRead(const Principal& caller, const Digest& digest);

 private:
  // Where an object was found last: checked first, because a record is one look-up and a search
  // reads all of a tenant's.
  struct Place {
    std::string tenant, model;
    uint64_t version = 0;
  };
  Result<bool> InBases(const Digest& digest);
  Result<bool> InTenant(const std::string& tenant, const Digest& digest);
  Result<bool> InModel(const std::string& tenant, const std::string& model, const Digest& digest);
  Result<bool> InVersion(const VersionRecord& version, const Digest& digest);
  Result<bool> StillAt(const Place& place, const Digest& digest);

  const Catalog& catalog_;
  StoredModels& models_;
  LruCache<std::string, Place> found_{4096};  // by tenant and digest
};

}  // namespace signum
