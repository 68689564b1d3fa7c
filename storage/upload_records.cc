#include "storage/upload_records.h"

#include <algorithm>
#include <cstdio>
#include <set>

#include "storage/base/name.h"
#include "storage/record.h"

namespace signum {

template <class F, class R>
requires RecordOf<R, UploadFile>
void Fields(F& f, R& r) {
  f("path", r.path);
  f("size", r.size);
  f("sha256", r.expected);
}

template <class F, class R>
requires RecordOf<R, UploadRecord>
void Fields(F& f, R& r) {
  f("id", r.upload.id);
  f("owner", r.upload.owner);
  f("tenant", r.upload.tenant);
  f("files", r.upload.files);
  f("created", r.upload.created);
  f("expires", r.upload.expires);
  f("pinned", r.upload.pinned);
}

template <class F, class R>
requires RecordOf<R, UploadProgress>
void Fields(F& f, R& r) {
  f("offset", r.offset);
  f("digest", r.digest);
}

std::string UploadKey(std::string_view id) { return std::string(kUploadPrefix) + std::string(id); }

std::string UploadFileKey(std::string_view id, size_t file) {
  char number[24];
  std::snprintf(number, sizeof number, "/%08zu", file);
  return UploadKey(id) + number;
}

std::string UploadEnd(std::string_view id) { return UploadKey(id) + static_cast<char>('/' + 1); }

std::string EncodeUpload(const UploadRecord& record) { return EncodeRecord(record); }
Result<UploadRecord> DecodeUpload(std::string_view bytes, std::string_view key) {
  return DecodeRecord<UploadRecord>(bytes, key);
}
std::string EncodeProgress(const UploadProgress& progress) { return EncodeRecord(progress); }
Result<UploadProgress> DecodeProgress(std::string_view bytes, std::string_view key) {
  return DecodeRecord<UploadProgress>(bytes, key);
}

namespace {

Result<void> CheckPaths(const std::vector<UploadFile>& files) {
  std::set<std::string_view> paths;
  for (const UploadFile& file : files) {
    SIGNUM_TRY(CheckFilePath(file.path));
    if (!paths.insert(file.path).second) {
      return Fail(Errc::kInvalid, "duplicate_path", "two files have the path '" + file.path + "'");
    }
  }
  for (const std::string_view path : paths) {
    for (size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1)) {
      if (!paths.contains(path.substr(0, slash))) continue;
      return Fail(Errc::kInvalid, "bad_path",
                  "'" + std::string(path.substr(0, slash)) + "' is a file and a folder of '" +
                      std::string(path) + "'");
    }
  }
  return {};
}

}  // namespace

Result<void> CheckUploadFiles(const std::vector<UploadFile>& files, const UploadLimits& limits) {
  if (files.empty()) return Fail(Errc::kInvalid, "no_files", "an upload needs at least one file");
  if (files.size() > limits.max_files) {
    return Fail(Errc::kTooLarge, "too_many_files",
                std::to_string(files.size()) + " files are over the limit of " +
                    std::to_string(limits.max_files));
  }
  uint64_t total = 0;
  for (const UploadFile& file : files) {
    if (file.size > limits.max_bytes - total) {
      return Fail(Errc::kTooLarge, "upload_too_large",
                  "'" + file.path + "' brings the upload over the limit of " +
                      std::to_string(limits.max_bytes) + " bytes");
    }
    total += file.size;
  }
  return CheckPaths(files);
}

}  // namespace signum
