#include "server/blob_access.h"

namespace signum {
namespace {

constexpr size_t kPage = 256;

}  // namespace

Result<bool> BlobAccess::MayRead(const Principal& caller, const Digest& digest) {
  if (caller.IsAdmin()) return true;
  if (caller.role == Role::kAuditor) return false;
  SIGNUM_ASSIGN(const bool shared, InBases(digest));
  if (shared) return true;
  for (const std::string& tenant : caller.tenants) {
    const std::string key = tenant + " " + digest.Hex();
    if (const auto place = found_.Find(key)) {
      SIGNUM_ASSIGN(const bool still, StillAt(*place, digest));
      if (still) return true;
    }
    SIGNUM_ASSIGN(const bool theirs, InTenant(tenant, digest));
    if (theirs) return true;
  }
  return false;
}

Result<bool> BlobAccess::InBases(const Digest& digest) {
  std::string after;
  for (;;) {
    SIGNUM_ASSIGN(const auto bases, catalog_.ListBases(after, kPage));
    for (const BaseRecord& base : bases) {
      if (base.digest == digest) return true;
      SIGNUM_ASSIGN(const auto objects, models_.OpenObjects(base.recipe));
      if (objects->Has(digest)) return true;
    }
    if (bases.size() < kPage) return false;
    after = bases.back().name;
  }
}

Result<bool> BlobAccess::InTenant(const std::string& tenant, const Digest& digest) {
  std::string after;
  for (;;) {
    SIGNUM_ASSIGN(const auto models, catalog_.ListModels(tenant, after, kPage));
    for (const std::string& model : models) {
      SIGNUM_ASSIGN(const bool here, InModel(tenant, model, digest));
      if (here) return true;
    }
    if (models.size() < kPage) return false;
    after = models.back();
  }
}

Result<bool> BlobAccess::InModel(const std::string& tenant, const std::string& model,
                                 const Digest& digest) {
  uint64_t after = 0;
  for (;;) {
    SIGNUM_ASSIGN(const auto versions, catalog_.ListVersions(tenant, model, after, kPage));
    for (const VersionRecord& version : versions) {
      SIGNUM_ASSIGN(const bool here, InVersion(version, digest));
      if (!here) continue;
      auto place = std::make_shared<const Place>(Place{tenant, model, version.version});
      found_.Insert(tenant + " " + digest.Hex(), std::move(place));
      return true;
    }
    if (versions.size() < kPage) return false;
    after = versions.back().version;
  }
}

Result<bool> BlobAccess::InVersion(const VersionRecord& version, const Digest& digest) {
  if (version.delta == digest || version.manifest == digest || version.recipe == digest) {
    return true;
  }
  if (!version.recipe || !version.exact_kept) return false;
  SIGNUM_ASSIGN(const auto objects, models_.OpenObjects(*version.recipe));
  return objects->Has(digest);
}

Result<bool> BlobAccess::StillAt(const Place& place, const Digest& digest) {
  const auto version = catalog_.GetVersion(place.tenant, place.model, place.version);
  if (version.has_value()) return InVersion(*version, digest);
  if (version.error().code == Errc::kNotFound) return false;
  return version.error();
}

}  // namespace signum
