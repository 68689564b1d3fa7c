#include "client/pull.h"

#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/chunk_verifier.h"
#include "client/download.h"
#include "client/trusted_keys.h"
#include "storage/base/file.h"
#include "storage/base/name.h"

namespace signum::client {

namespace {

constexpr uint64_t kMaxManifestBytes = 64u << 20;
constexpr uint64_t kMaxRecipeBytes = 64u << 20;

Result<std::string> FetchEnvelope(Registry& registry, const PullTarget& target) {
  return registry.GetBytes(
      registry.VersionPath(target.tenant, target.model, std::to_string(target.version)) +
          "/manifest",
      kMaxManifestBytes);
}

Result<Manifest> CheckEnvelope(const std::string& envelope, const PullTarget& target) {
  SIGNUM_ASSIGN(Manifest manifest, VerifyManifest(envelope, target.keys));
  SIGNUM_TRY(CheckManifestIs(manifest, target.tenant, target.model, target.version));
  return manifest;
}

// Whether `path` holds `size` bytes that `verify` accepts.
bool IsHere(const std::filesystem::path& path, const DownloadOptions& options) {
  const auto file = MappedFile::Open(path);
  return file && (*file)->size() == options.expected_size && options.verify(**file);
}

Result<void> FetchFile(Registry& registry, const std::string& url,
                       const std::filesystem::path& path, DownloadOptions options,
                       const PullProgress& progress) {
  const std::string name = path.filename().string();
  const uint64_t total = options.expected_size;
  options.on_progress = [&](uint64_t done, uint64_t) { progress(name, done, total); };
  if (!IsHere(path, options)) SIGNUM_TRY(DownloadFile(registry, url, path, options));
  progress(name, total, total);
  return {};
}

Result<void> MakeDirectory(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return FromErrno(error.value(), directory.string());
  return {};
}

// What a onebit checkpoint consists of: the version's resource says.
Result<std::vector<PulledFile>> OnebitFiles(Registry& registry, const PullTarget& target) {
  SIGNUM_ASSIGN(const nlohmann::json version,
                registry.GetVersion(target.tenant, target.model, std::to_string(target.version)));
  SIGNUM_ASSIGN(const nlohmann::json* files, JsonArray(version, "files"));
  std::vector<PulledFile> out;
  for (const auto& item : *files) {
    PulledFile file;
    SIGNUM_ASSIGN(file.path, JsonString(item, "path"));
    SIGNUM_ASSIGN(file.size, JsonNumber(item, "size"));
    SIGNUM_ASSIGN(file.digest, JsonDigest(item, "sha256"));
    out.push_back(std::move(file));
  }
  return out;
}

// The recipe of the upload. It is the one that the manifest signs, but for an adapter's, which is
// found by its digest: there the manifest's says what the adapter gives with its base.
Result<Recipe> ExactRecipe(Registry& registry, const PullTarget& target) {
  SIGNUM_ASSIGN(const std::string envelope, FetchEnvelope(registry, target));
  SIGNUM_ASSIGN(Manifest manifest, CheckEnvelope(envelope, target));
  SIGNUM_ASSIGN(const nlohmann::json version,
                registry.GetVersion(target.tenant, target.model, std::to_string(target.version)));
  const auto named = version.find("recipe");
  if (named == version.end() || named->is_null()) {
    return Fail(Errc::kNotFound, "exact_not_kept",
                target.tenant + "/" + target.model + "@" + std::to_string(target.version) +
                    " was made without keeping its upload");
  }
  SIGNUM_ASSIGN(const Digest digest, JsonDigest(version, "recipe"));
  if (Sha256::Of(AsBytes(manifest.recipe.Serialize())) == digest) {
    return std::move(manifest.recipe);
  }
  SIGNUM_ASSIGN(const std::string recipe,
                registry.GetBytes("/v1/blobs/" + digest.Text(), kMaxRecipeBytes));
  if (Sha256::Of(AsBytes(recipe)) == digest) return Recipe::Parse(recipe);
  return Fail(Errc::kCorrupt, "digest_mismatch", "recipe " + digest.Text() + " has other bytes");
}

Result<std::vector<PulledFile>> ExactFiles(Registry& registry, const PullTarget& target) {
  SIGNUM_ASSIGN(const Recipe recipe, ExactRecipe(registry, target));
  std::vector<PulledFile> out;
  for (const RecipeFile& file : recipe.files) {
    out.push_back({file.path, file.size, file.digest});
  }
  return out;
}

Result<std::vector<PublicKey>> TrustedKeys(Registry& registry, const std::string& pinned) {
  std::vector<PublicKey> out;
  if (!pinned.empty()) {
    SIGNUM_ASSIGN(PublicKey key, PublicKey::FromBase64(pinned));
    out.push_back(std::move(key));
  }
  SIGNUM_ASSIGN(const std::vector<RegistryKey> keys, registry.Keys());
  if (!pinned.empty()) return WithEndorsed(std::move(out), keys);
  for (const RegistryKey& key : keys) out.push_back(key.key);
  return out;
}

}  // namespace

Result<std::vector<PullTarget>> ResolvePull(Registry& registry, const ModelRef& ref,
                                            const std::string& key) {
  SIGNUM_ASSIGN(const std::vector<PublicKey> keys, TrustedKeys(registry, key));
  std::vector<PullTarget> out;
  if (ref.model.empty()) {
    SIGNUM_ASSIGN(const LiveState live, registry.Live(ref.tenant));
    for (const LiveModel& model : live.models) {
      out.push_back({ref.tenant, model.model, model.version, keys});
    }
    if (out.empty()) {
      return Fail(Errc::kNotFound, "nothing_live", "nothing is live for " + ref.tenant);
    }
    return out;
  }
  SIGNUM_ASSIGN(
      const nlohmann::json version,
      registry.GetVersion(ref.tenant, ref.model, ref.version.empty() ? "live" : ref.version));
  SIGNUM_ASSIGN(const uint64_t number, JsonNumber(version, "version"));
  const std::string state = JsonStringOr(version, "state", "");
  if (state != "ready") {
    return Fail(Errc::kConflict, "version_not_ready",
                ref.tenant + "/" + ref.model + "@" + std::to_string(number) + " is " + state);
  }
  out.push_back({ref.tenant, ref.model, number, keys});
  return out;
}

std::filesystem::path PullDirectory(const std::filesystem::path& output, const ModelRef& ref,
                                    const PullTarget& target, std::string_view as) {
  return as == "checkpoint" && ref.model.empty() ? output / target.model : output;
}

nlohmann::json PulledToJson(const PullTarget& target, const std::vector<PulledFile>& files) {
  nlohmann::json out = {{"tenant", target.tenant},
                        {"model", target.model},
                        {"version", target.version},
                        {"files", nlohmann::json::array()}};
  for (const PulledFile& file : files) {
    out["files"].push_back(
        {{"path", file.path}, {"size", file.size}, {"sha256", file.digest.Text()}});
  }
  return out;
}

Result<Manifest> VerifyManifest(std::string_view envelope, const std::vector<PublicKey>& keys) {
  Error last = Fail(Errc::kCorrupt, "unknown_key", "no key to check the manifest's signature with");
  for (const PublicKey& key : keys) {
    Result<Manifest> manifest = Manifest::Verify(envelope, key);
    if (manifest) return manifest;
    last = manifest.error();
    if (last.reason != "unknown_key") break;
  }
  return last;
}

Result<void> CheckManifestIs(const Manifest& manifest, std::string_view tenant,
                             std::string_view model, uint64_t version) {
  if (manifest.tenant == tenant && manifest.model == model && manifest.version == version) {
    return {};
  }
  return Fail(Errc::kCorrupt, "manifest_mismatch",
              "asked for the manifest of " + std::string(tenant) + "/" + std::string(model) + "@" +
                  std::to_string(version) + ", got that of " + manifest.tenant + "/" +
                  manifest.model + "@" + std::to_string(manifest.version));
}

Result<std::vector<PulledFile>> PullDelta(Registry& registry, const PullTarget& target,
                                          const std::filesystem::path& directory,
                                          const PullProgress& progress) {
  SIGNUM_ASSIGN(const std::string envelope, FetchEnvelope(registry, target));
  SIGNUM_ASSIGN(const Manifest manifest, CheckEnvelope(envelope, target));
  SIGNUM_TRY(MakeDirectory(directory));
  DownloadOptions options;
  options.expected_size = manifest.delta_size;
  options.verify = [&](const ByteSource& bytes) { return VerifyDelta(bytes, manifest); };
  const std::filesystem::path delta = directory / (target.model + ".safetensors");
  SIGNUM_TRY(FetchFile(
      registry,
      registry.VersionPath(target.tenant, target.model, std::to_string(target.version)) + "/delta",
      delta, std::move(options), progress));
  const std::filesystem::path sidecar = directory / (target.model + ".manifest.json");
  SIGNUM_TRY(WriteFileAtomically(sidecar, AsBytes(envelope)));
  return std::vector<PulledFile>{
      {delta.string(), manifest.delta_size, manifest.delta_digest},
      {sidecar.string(), envelope.size(), Sha256::Of(AsBytes(envelope))}};
}

Result<std::vector<PulledFile>> PullCheckpoint(Registry& registry, const PullTarget& target,
                                               std::string_view fidelity,
                                               const std::filesystem::path& directory,
                                               const PullProgress& progress) {
  Result<std::vector<PulledFile>> files =
      fidelity == "exact" ? ExactFiles(registry, target) : OnebitFiles(registry, target);
  if (!files) return files;
  for (PulledFile& file : *files) {
    SIGNUM_TRY(CheckFilePath(file.path));
    const std::filesystem::path path = directory / file.path;
    SIGNUM_TRY(MakeDirectory(path.parent_path()));
    const std::string url =
        registry.VersionPath(target.tenant, target.model, std::to_string(target.version)) +
        "/checkpoint/" + EscapePath(file.path) + "?fidelity=" + EscapeSegment(fidelity);
    DownloadOptions options;
    options.expected_size = file.size;
    options.verify = ExpectDigest(file.digest, file.path);
    SIGNUM_TRY(FetchFile(registry, url, path, std::move(options), progress));
    file.path = path.string();
  }
  return files;
}

}  // namespace signum::client
