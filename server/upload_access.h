#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "server/app.h"
#include "server/http/message.h"
#include "storage/base/result.h"
#include "storage/format/checkpoint.h"
#include "storage/uploads.h"

namespace signum {

// Errc::kDenied "role_required" unless the caller may upload at all: admins and publishers.
Result<void> RequireUploader(const http::Request& request);

// The upload if the caller may touch it: an admin any, a publisher those of its tenant. Others'
// answer Errc::kNotFound "unknown_upload", as what does not exist.
Result<Upload> AccessUpload(App& app, const http::Request& request, std::string_view id);

// As AccessUpload for a caller who is about to use it up: Errc::kConflict "upload_in_use" while a
// version is being made from it.
Result<Upload> AccessUnusedUpload(App& app, const http::Request& request, std::string_view id);

// A complete upload parsed as a checkpoint, a `fine_tune` as one or as a PEFT adapter. Unless
// `allow_not_finite`, every float is looked at: Errc::kUnusable "not_finite" names file, tensor and
// byte.
Result<std::shared_ptr<const Checkpoint>> OpenUploadedCheckpoint(App& app, std::string_view upload,
                                                                 bool allow_not_finite,
                                                                 bool fine_tune = false);

// config.json's first entry of `architectures`, or its model_type, or "unknown".
std::string ArchitectureOf(std::string_view config_json);

}  // namespace signum
