#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/clock.h"
#include "storage/base/digest.h"
#include "storage/engine.h"
#include "storage/format/checkpoint.h"

namespace signum {

struct UploadFile {
  std::string path;
  uint64_t size = 0;
  uint64_t offset = 0;             // durable bytes
  std::optional<Digest> expected;  // as declared
  std::optional<Digest> digest;    // once complete
};

struct TenantUsage;  // usage.h

struct Upload {
  std::string id;
  std::string owner;   // principal that created it
  std::string tenant;  // empty for an admin's
  std::vector<UploadFile> files;
  UnixMicros created = 0, expires = 0;
  bool pinned = false;  // a version is being made from it
  bool Complete() const;
};

// A file of an upload being written by one request. Exclusive: a second writer on the same file is
// Errc::kConflict "upload_busy" until this one is destroyed. What Append took and Commit made
// durable counts; the rest of a vanished client is kept up to the last full Commit.
class UploadWriter {
 public:
  virtual ~UploadWriter() = default;
  // kTooLarge "upload_too_large" past the declared size (nothing of this call is kept); kExhausted
  // "disk_full": the file goes back to the last Commit.
  virtual Result<void> Append(ConstBytes bytes) = 0;
  // fdatasync and record the offset; at the last byte checks the declared digest: kUnusable
  // "digest_mismatch" (names path, expected and actual) and the file goes back to offset 0.
  virtual Result<UploadFile> Commit() = 0;
};

struct UploadLimits {
  uint64_t max_files = 10'000;
  uint64_t max_bytes = 1ull << 43;
  int64_t expire_after_micros = 24ll * 3600 * 1'000'000;
  uint64_t keep_free_bytes = 64ull << 20;  // refuse (kExhausted) what would leave less on the disk
};

// Of the disk that uploads lie on.
struct DiskSpace {
  uint64_t free = 0;
  uint64_t kept = 0;  // UploadLimits::keep_free_bytes
};

// Staged uploads: plain files below `directory`, records in the engine. Thread-safe.
class Uploads {
 public:
  static Result<std::unique_ptr<Uploads>> Open(Engine& engine, const Clock& clock,
                                               const std::filesystem::path& directory,
                                               const UploadLimits& limits);
  virtual ~Uploads() = default;

  // Checks paths (CheckFilePath, no duplicates, no path that is a directory of another), sizes,
  // limits.
  virtual Result<Upload> Create(std::string_view owner, std::string_view tenant,
                                std::vector<UploadFile> files) = 0;
  virtual Result<Upload> Get(std::string_view id) const = 0;  // kNotFound "unknown_upload"
  // `offset` must be the file's present one: kConflict "wrong_offset" names both.
  virtual Result<std::unique_ptr<UploadWriter>> OpenWriter(std::string_view id, size_t file,
                                                           uint64_t offset) = 0;
  // The complete upload as files to parse, memory-mapped; kConflict "upload_incomplete" names a
  // file.
  virtual Result<std::vector<CheckpointFile>> OpenFiles(std::string_view id) const = 0;
  // Takes an incomplete file back to offset 0. kConflict "upload_busy" while it is written,
  // "file_complete" where it is whole: it may be mapped.
  virtual Result<void> Restart(std::string_view id, size_t file) = 0;
  // Keeps a complete upload from expiring while a version is being made from it. One version at a
  // time: kConflict "upload_in_use" where it is pinned already.
  virtual Result<void> Pin(std::string_view id) = 0;
  // Lets it expire again, after the full time.
  virtual Result<void> Unpin(std::string_view id) = 0;
  virtual Result<std::vector<std::string>> ListPinned() const = 0;
  virtual Result<void> Remove(std::string_view id) = 0;  // record and files
  // Removes what expired and files no record names (after a crash). Returns how many uploads.
  virtual Result<size_t> Sweep() = 0;
  // How many there are on the disk, those that the next sweep removes included.
  virtual Result<size_t> Count() const = 0;
  // Declared bytes of a tenant's uploads, written or not, but for those that a version is being
  // made from: they are that version's. Reads one key.
  virtual Result<uint64_t> StagedBytes(std::string_view tenant) const = 0;
  // Who has uploads, or had: an empty name are the admins.
  virtual Result<std::vector<std::string>> ListTenants() const = 0;
  // The same as StagedBytes, from the records themselves.
  virtual Result<TenantUsage> CountAnew(std::string_view tenant) const = 0;

  virtual Result<DiskSpace> Space() const = 0;
  // kExhausted "disk_full" where writing `bytes` more would leave less than is kept free.
  virtual Result<void> CheckSpace(uint64_t bytes) const = 0;
};

}  // namespace signum
