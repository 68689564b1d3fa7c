#include "server/upload_access.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "server/principal.h"
#include "storage/format/canonical_json.h"

namespace signum {
namespace {

Result<void> CheckAllFinite(const Checkpoint& checkpoint) {
  for (size_t i = 0; i < checkpoint.tensors().size(); ++i) {
    const auto& shard = checkpoint.shards()[checkpoint.places()[i].shard];
    SIGNUM_ASSIGN(const auto data, checkpoint.Open(i));
    SIGNUM_TRY(CheckFinite(checkpoint.tensors()[i], *data, checkpoint.files()[shard.file].path));
  }
  return {};
}

}  // namespace

Result<void> RequireUploader(const http::Request& request) {
  const Principal& caller = Caller(request);
  if (caller.IsAdmin() || caller.role == Role::kPublisher) return {};
  return Fail(Errc::kDenied, "role_required", "uploading takes a publisher's or an admin's token");
}

Result<Upload> AccessUpload(App& app, const http::Request& request, std::string_view id) {
  SIGNUM_TRY(RequireUploader(request));
  SIGNUM_ASSIGN(Upload upload, app.uploads.Get(id));
  const Principal& caller = Caller(request);
  const bool theirs = !upload.tenant.empty() && caller.MayPublish(upload.tenant);
  if (!caller.IsAdmin() && !theirs) {
    return Fail(Errc::kNotFound, "unknown_upload", "no upload '" + std::string(id) + "'");
  }
  return upload;
}

Result<Upload> AccessUnusedUpload(App& app, const http::Request& request, std::string_view id) {
  SIGNUM_ASSIGN(Upload upload, AccessUpload(app, request, id));
  if (!upload.pinned) return upload;
  return Fail(Errc::kConflict, "upload_in_use",
              "a version is being made from upload '" + upload.id + "'");
}

Result<std::shared_ptr<const Checkpoint>> OpenUploadedCheckpoint(App& app, std::string_view upload,
                                                                 bool allow_not_finite,
                                                                 bool fine_tune) {
  SIGNUM_ASSIGN(auto files, app.uploads.OpenFiles(upload));
  SIGNUM_ASSIGN(auto checkpoint, fine_tune ? Checkpoint::ParseFineTune(std::move(files))
                                           : Checkpoint::Parse(std::move(files)));
  if (!allow_not_finite) SIGNUM_TRY(CheckAllFinite(*checkpoint));
  return checkpoint;
}

std::string ArchitectureOf(std::string_view config_json) {
  const auto config = ParseJson(config_json);
  if (config.has_error() || !config->is_object()) return "unknown";
  const auto architectures = config->find("architectures");
  if (architectures != config->end() && architectures->is_array() && !architectures->empty() &&
      architectures->front().is_string()) {
    return architectures->front().get<std::string>();
  }
  const auto type = config->find("model_type");
  return type != config->end() && type->is_string() ? type->get<std::string>() : "unknown";
}

}  // namespace signum
