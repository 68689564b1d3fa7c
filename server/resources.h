#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/message.h"
#include "storage/base/result.h"
#include "storage/catalog.h"
#include "storage/format/recipe.h"
#include "storage/uploads.h"

// The JSON of uploads, bases and versions (server/API.md).

namespace signum {

// One file of an upload, by index.
nlohmann::json UploadFileResource(const http::Request& request, const Upload& upload, size_t index);
nlohmann::json UploadResource(const http::Request& request, const Upload& upload);
nlohmann::json BaseResource(const BaseRecord& base, const Recipe& recipe);
// `aliases` are all of the model's; the resource lists those that point at this version.
nlohmann::json VersionResource(const VersionRecord& version,
                               const std::vector<AliasRecord>& aliases);

// null for what is not there: no digest, the time 0.
nlohmann::json DigestOrNull(const std::optional<Digest>& digest);
nlohmann::json TimeOrNull(UnixMicros time);

// Paths of resources, as links and Location name them.
std::string UploadPath(std::string_view id);
std::string UploadFilePath(std::string_view id, size_t index);
std::string BasePath(std::string_view base);
std::string ModelPath(std::string_view tenant, std::string_view model);
std::string VersionPath(const VersionRecord& version);  // by number

}  // namespace signum
