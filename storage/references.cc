#include "storage/references.h"

namespace signum {

namespace {

constexpr size_t kPage = 256;
constexpr uint64_t kMaxRecipeBytes = 256ull << 20;

using VersionVisitor = std::function<Result<void>(const VersionRecord&)>;

Result<void> ForEachOfModel(const Catalog& catalog, const std::string& tenant,
                            const std::string& model, const VersionVisitor& visit) {
  uint64_t after = 0;
  for (;;) {
    SIGNUM_ASSIGN(const auto page, catalog.ListVersions(tenant, model, after, kPage));
    for (const VersionRecord& version : page) SIGNUM_TRY(visit(version));
    if (page.size() < kPage) return {};
    after = page.back().version;
  }
}

Result<void> ForEachOfTenant(const Catalog& catalog, const std::string& tenant,
                             const VersionVisitor& visit) {
  std::string after;
  for (;;) {
    SIGNUM_ASSIGN(const auto page, catalog.ListModels(tenant, after, kPage));
    for (const std::string& model : page) {
      SIGNUM_TRY(ForEachOfModel(catalog, tenant, model, visit));
    }
    if (page.size() < kPage) return {};
    after = page.back();
  }
}

// A base has none itself (ObjectStore::PutEncoded).
Result<void> AddBase(const ObjectStore& objects, const Digest& digest, std::vector<Digest>& named) {
  const auto info = objects.Describe(digest);
  if (info.has_value() && info->base) named.push_back(*info->base);
  if (info.has_value() || info.error().code == Errc::kNotFound) return {};
  return info.error();
}

}  // namespace

Result<std::vector<Digest>> ObjectsOfRecipe(const ObjectStore& objects, const Digest& recipe) {
  SIGNUM_ASSIGN(const auto bytes, objects.Open(recipe));
  SIGNUM_ASSIGN(const std::string json, ReadAll(*bytes, kMaxRecipeBytes));
  SIGNUM_ASSIGN(const Recipe parsed, Recipe::Parse(json));
  std::vector<Digest> named{recipe};
  for (const RecipeFile& file : parsed.files) {
    named.push_back(file.safetensors ? file.header : file.digest);
    named.insert(named.end(), file.tensors.begin(), file.tensors.end());
  }
  const size_t count = named.size();
  for (size_t i = 0; i < count; ++i) SIGNUM_TRY(AddBase(objects, named[i], named));
  return named;
}

Result<void> ForEachBase(const Catalog& catalog,
                         const std::function<Result<void>(const BaseRecord&)>& visit) {
  std::string after;
  for (;;) {
    SIGNUM_ASSIGN(const auto page, catalog.ListBases(after, kPage));
    for (const BaseRecord& base : page) SIGNUM_TRY(visit(base));
    if (page.size() < kPage) return {};
    after = page.back().name;
  }
}

Result<void> ForEachVersion(const Catalog& catalog, const VersionVisitor& visit) {
  std::string after;
  for (;;) {
    SIGNUM_ASSIGN(const auto page, catalog.ListTenants(after, kPage));
    for (const std::string& tenant : page) SIGNUM_TRY(ForEachOfTenant(catalog, tenant, visit));
    if (page.size() < kPage) return {};
    after = page.back();
  }
}

}  // namespace signum
