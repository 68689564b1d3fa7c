#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/uploads.h"

// How uploads are kept in the engine: one record for an upload (what was declared), one for each
// file (how far it got), so that a commit writes little however many files there are.

namespace signum {

struct UploadRecord {
  Upload upload;  // files: path, size, expected
};

struct UploadProgress {
  uint64_t offset = 0;
  std::optional<Digest> digest;
};

inline constexpr std::string_view kUploadPrefix = "g/upload/";
inline constexpr std::string_view kUploadUsagePrefix = "g/upload/~";  // after all ids
std::string UploadKey(std::string_view id);                           // g/upload/<id>
std::string UploadFileKey(std::string_view id, size_t file);          // g/upload/<id>/<file>
// The range of all keys of an upload, its own first, is [UploadKey(id), UploadEnd(id)).
std::string UploadEnd(std::string_view id);

std::string EncodeUpload(const UploadRecord& record);
Result<UploadRecord> DecodeUpload(std::string_view bytes, std::string_view key);
std::string EncodeProgress(const UploadProgress& progress);
Result<UploadProgress> DecodeProgress(std::string_view bytes, std::string_view key);

// Checks the files of a new upload: paths, duplicates, a path that is a folder of another, limits.
Result<void> CheckUploadFiles(const std::vector<UploadFile>& files, const UploadLimits& limits);

}  // namespace signum
