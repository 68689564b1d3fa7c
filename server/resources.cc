#include "server/resources.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "server/handler.h"
#include "server/version_options.h"
#include "storage/format/canonical_json.h"

namespace signum {
namespace {

using nlohmann::json;

// JSON that the server itself stored; {} where there is none.
json StoredObject(const std::string& text) {
  const auto parsed = ParseJson(text.empty() ? "{}" : text);
  return parsed.has_value() ? *parsed : json::object();
}

json Linear(const VersionRecord& version) {
  json linear = {{"weights", version.linear_weights}, {"bytes", version.linear_bytes}};
  linear["bits_per_weight"] = version.linear_weights == 0
                                  ? json(nullptr)
                                  : json(8.0 * static_cast<double>(version.linear_bytes) /
                                         static_cast<double>(version.linear_weights));
  return linear;
}

json RebuiltFiles(const VersionRecord& version) {
  json files = json::array();
  for (const RebuiltFile& file : version.rebuilt) {
    files.push_back({{"path", file.path}, {"size", file.size}, {"sha256", file.digest.Text()}});
  }
  return files;
}

json NumberOrNull(uint64_t number) { return number == 0 ? json(nullptr) : json(number); }

json AliasNames(const VersionRecord& version, const std::vector<AliasRecord>& aliases) {
  json names = json::array();
  for (const AliasRecord& alias : aliases) {
    if (alias.version == version.version) names.push_back(alias.name);
  }
  return names;
}

json ErrorOf(const VersionRecord& version) {
  if (version.error_reason.empty()) return nullptr;
  return {{"code", version.error_reason}, {"message", version.error_message}};
}

}  // namespace

json DigestOrNull(const std::optional<Digest>& digest) {
  return digest ? json(digest->Text()) : json(nullptr);
}

json TimeOrNull(UnixMicros time) { return time == 0 ? json(nullptr) : json(FormatTime(time)); }

json UploadFileResource(const http::Request& request, const Upload& upload, size_t index) {
  const UploadFile& file = upload.files[index];
  return {{"path", file.path},
          {"size", file.size},
          {"offset", file.offset},
          {"sha256", DigestOrNull(file.digest ? file.digest : file.expected)},
          {"url", Link(request, UploadFilePath(upload.id, index))}};
}

json UploadResource(const http::Request& request, const Upload& upload) {
  json files = json::array();
  for (size_t i = 0; i < upload.files.size(); ++i) {
    files.push_back(UploadFileResource(request, upload, i));
  }
  return {{"id", upload.id},
          {"expires", FormatTime(upload.expires)},
          {"complete", upload.Complete()},
          {"files", std::move(files)}};
}

json BaseResource(const BaseRecord& base, const Recipe& recipe) {
  json files = json::array();
  for (const RecipeFile& file : recipe.files) {
    files.push_back({{"path", file.path}, {"size", file.size}, {"sha256", file.digest.Text()}});
  }
  return {{"name", base.name},
          {"digest", base.digest.Text()},
          {"architecture", base.architecture},
          {"parameters", base.parameters},
          {"tensors", base.tensors},
          {"sizes", {{"upload", base.upload_bytes}, {"stored", base.stored_bytes}}},
          {"files", std::move(files)},
          {"created", FormatTime(base.created)},
          {"creator", base.creator}};
}

json VersionResource(const VersionRecord& version, const std::vector<AliasRecord>& aliases) {
  // Codec, scales, embeddings, method, keep_exact … as asked for; then what came of them.
  json resource = VersionOptions::Shown(StoredObject(version.options_json));
  const bool sized = version.delta_bytes > 0;
  resource.update({
      {"tenant", version.tenant},
      {"model", version.model},
      {"version", version.version},
      {"state", VersionStateName(version.state)},
      {"base", version.base},
      {"base_digest", version.base_digest.Text()},
      {"digest", DigestOrNull(version.delta)},
      {"manifest_digest", DigestOrNull(version.manifest)},
      {"sizes",
       {{"upload", version.upload_bytes},
        {"exact", version.exact_bytes},
        {"delta", version.delta_bytes}}},
      {"recipe", version.exact_kept ? DigestOrNull(version.recipe) : json(nullptr)},
      {"ratio", sized ? json(static_cast<double>(version.upload_bytes) /
                             static_cast<double>(version.delta_bytes))
                      : json(nullptr)},
      {"linear", Linear(version)},
      {"fidelity", StoredObject(version.fidelity_json)},
      {"made", StoredObject(version.made_json)},
      {"lineage",
       {{"parent", NumberOrNull(version.parent)},
        {"base", version.base},
        {"from_version", NumberOrNull(version.from_version)}}},
      {"files", RebuiltFiles(version)},
      {"job", version.job},
      {"created", FormatTime(version.created)},
      {"finished", TimeOrNull(version.finished)},
      {"creator", version.creator},
      {"aliases", AliasNames(version, aliases)},
      {"error", ErrorOf(version)},
  });
  return resource;
}

std::string UploadPath(std::string_view id) { return "/v1/uploads/" + std::string(id); }

std::string UploadFilePath(std::string_view id, size_t index) {
  return UploadPath(id) + "/files/" + std::to_string(index);
}

std::string BasePath(std::string_view base) { return "/v1/bases/" + std::string(base); }

std::string ModelPath(std::string_view tenant, std::string_view model) {
  return "/v1/tenants/" + std::string(tenant) + "/models/" + std::string(model);
}

std::string VersionPath(const VersionRecord& version) {
  return ModelPath(version.tenant, version.model) + "/versions/" + std::to_string(version.version);
}

}  // namespace signum
