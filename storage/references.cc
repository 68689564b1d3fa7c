#include "storage/references.h"

#include <map>
#include <set>
#include <utility>

namespace signum {

namespace {

constexpr size_t kPage = 256;
constexpr uint64_t kMaxRecipeBytes = 256ull << 20;

using VersionVisitor = std::function<Result<void>(const VersionRecord&)>;

Result<void> ForEachOfTenant(const Catalog& catalog, const std::string& tenant,
                             const VersionVisitor& visit) {
  std::string after;
  for (;;) {
    SIGNUM_ASSIGN(const auto page, catalog.ListModels(tenant, after, kPage));
    for (const std::string& model : page) {
      SIGNUM_TRY(ForEachVersionOf(catalog, tenant, model, visit));
    }
    if (page.size() < kPage) return {};
    after = page.back();
  }
}

// The part of the object table whose digests begin with `byte`.
std::string PartOfTable(unsigned byte) {
  constexpr std::string_view kHex = "0123456789abcdef";
  return std::string(kObjectPrefix) + kHex[byte >> 4] + kHex[byte & 15] + "/";
}

// Marks of collection lie behind the objects of their part ('~' follows every digit).
Result<std::map<Digest, std::string>> CondemnedOf(const Engine& engine, const std::string& part) {
  std::map<Digest, std::string> condemned;
  std::string begin = part + "~";
  const std::string end = part + "\x7f";
  for (;;) {
    SIGNUM_ASSIGN(auto page, engine.Scan(begin, end, kPage));
    for (KeyValue& mark : page) {
      const size_t digits = mark.key.rfind('~') + 1;
      SIGNUM_ASSIGN(const Digest digest, Digest::FromText(mark.key.substr(digits)));
      condemned.emplace(digest, std::move(mark.value));
    }
    if (page.size() < kPage) return condemned;
    begin = page.back().key + '\0';
  }
}

Result<void> ForEachOfPart(const Engine& engine, const std::string& part,
                           const std::function<Result<void>(const ScannedObject&)>& visit) {
  SIGNUM_ASSIGN(const auto condemned, CondemnedOf(engine, part));
  std::string begin = part;
  for (;;) {
    SIGNUM_ASSIGN(auto page, engine.Scan(begin, part + "~", kPage));
    if (!page.empty()) begin = page.back().key + '\0';
    for (KeyValue& item : page) {
      ScannedObject object;
      SIGNUM_ASSIGN(object.digest, DigestOfObjectKey(item.key));
      object.value = std::move(item.value);
      SIGNUM_ASSIGN(object.record, ObjectRecord::Decode(object.value, item.key));
      const auto mark = condemned.find(object.digest);
      if (mark != condemned.end()) object.condemned = mark->second;
      SIGNUM_TRY(visit(object));
    }
    if (page.size() < kPage) return {};
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

std::string NameOf(const VersionRecord& version) {
  return version.tenant + "/" + version.model + "@" + std::to_string(version.version);
}

Result<std::vector<Digest>> ObjectsOfBase(const ObjectStore& objects, const BaseRecord& base) {
  SIGNUM_ASSIGN(auto named, ObjectsOfRecipe(objects, base.recipe));
  named.push_back(base.digest);
  return named;
}

Result<std::vector<Digest>> ObjectsOfVersion(const ObjectStore& objects,
                                             const VersionRecord& version) {
  std::vector<Digest> named;
  if (version.recipe && version.exact_kept) {
    SIGNUM_ASSIGN(named, ObjectsOfRecipe(objects, *version.recipe));
  } else if (version.recipe) {
    named.push_back(*version.recipe);
  }
  if (version.delta) named.push_back(*version.delta);
  if (version.manifest) named.push_back(*version.manifest);
  return named;
}

std::vector<Digest> ReferencesOfObject(const ObjectRecord& record) {
  return record.base ? std::vector{*record.base} : std::vector<Digest>();
}

Result<void> ForEachObject(const Engine& engine,
                           const std::function<Result<void>(const ScannedObject&)>& visit) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    SIGNUM_TRY(ForEachOfPart(engine, PartOfTable(byte), visit));
  }
  return {};
}

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

Result<uint64_t> BytesStoredSince(const ObjectStore& objects, const Digest& recipe,
                                  UnixMicros since) {
  SIGNUM_ASSIGN(const auto named, ObjectsOfRecipe(objects, recipe));
  uint64_t bytes = 0;
  for (const Digest& digest : std::set<Digest>(named.begin(), named.end())) {
    SIGNUM_ASSIGN(const auto info, objects.Describe(digest));
    if (info.created >= since) bytes += info.stored_bytes;
  }
  return bytes;
}

Result<uint64_t> UnnamedBytes(const ObjectStore& objects, const Catalog& catalog,
                              const std::vector<Digest>& digests) {
  std::set<Digest> left(digests.begin(), digests.end());
  const auto strike = [&left](const std::vector<Digest>& named) {
    for (const Digest& digest : named) left.erase(digest);
  };
  SIGNUM_TRY(ForEachBase(catalog, [&](const BaseRecord& base) -> Result<void> {
    SIGNUM_ASSIGN(const auto named, ObjectsOfBase(objects, base));
    strike(named);
    return {};
  }));
  SIGNUM_TRY(ForEachVersion(catalog, [&](const VersionRecord& version) -> Result<void> {
    SIGNUM_ASSIGN(const auto named, ObjectsOfVersion(objects, version));
    strike(named);
    return {};
  }));
  uint64_t bytes = 0;
  for (const Digest& digest : left) {
    SIGNUM_ASSIGN(const auto info, objects.Describe(digest));
    bytes += info.stored_bytes;
  }
  return bytes;
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

Result<void> ForEachVersionOf(const Catalog& catalog, const std::string& tenant,
                              const std::string& model, const VersionVisitor& visit) {
  uint64_t after = 0;
  for (;;) {
    SIGNUM_ASSIGN(const auto page, catalog.ListVersions(tenant, model, after, kPage));
    for (const VersionRecord& version : page) SIGNUM_TRY(visit(version));
    if (page.size() < kPage) return {};
    after = page.back().version;
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
