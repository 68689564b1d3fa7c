#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "storage/upload_records.h"
#include "storage/uploads.h"

namespace signum {

// An upload, and the number of a file of it.
using FileId = std::pair<std::string, size_t>;

// Errc::kUnusable digest_mismatch of a whole file.
Error DigestMismatch(const UploadFile& file, const Digest& actual);

// What the writers share with the uploads they belong to: which files are being written, and the
// hash states of those that were written before and are not complete.
class StagedUploads final : public Uploads {
 public:
  StagedUploads(Engine& engine, const Clock& clock, std::filesystem::path directory,
                const UploadLimits& limits)
      : engine_(engine), clock_(clock), directory_(std::move(directory)), limits_(limits) {}

  Result<Upload> Create(std::string_view owner, std::string_view tenant,
                        std::vector<UploadFile> files) override;
  Result<Upload> Get(std::string_view id) const override;
  Result<std::unique_ptr<UploadWriter>> OpenWriter(std::string_view id, size_t file,
                                                   uint64_t offset) override;
  Result<std::vector<CheckpointFile>> OpenFiles(std::string_view id) const override;
  Result<void> Restart(std::string_view id, size_t file) override;
  Result<void> Pin(std::string_view id) override;
  Result<void> Unpin(std::string_view id) override;
  Result<std::vector<std::string>> ListPinned() const override;
  Result<void> Remove(std::string_view id) override;
  Result<size_t> Sweep() override;
  Result<size_t> Count() const override;
  Result<uint64_t> StagedBytes(std::string_view tenant) const override;
  Result<std::vector<std::string>> ListTenants() const override;
  Result<TenantUsage> CountAnew(std::string_view tenant) const override;
  Result<DiskSpace> Space() const override;
  Result<void> CheckSpace(uint64_t bytes) const override;

  // ---- for writers
  // Records how far a file got. kNotFound "unknown_upload" where the upload was removed meanwhile.
  Result<void> Record(const FileId& id, const UploadProgress& progress);
  void Release(const FileId& id, std::optional<Sha256> hash);

 private:
  Result<UploadRecord> Load(std::string_view id) const;
  Result<void> ChangeRecord(std::string_view id,
                            const std::function<Result<void>(Upload&)>& change);
  bool Expired(const UploadRecord& record) const;
  bool Busy(std::string_view id) const;
  Result<std::optional<Sha256>> Reserve(const FileId& id);
  std::filesystem::path FolderOf(std::string_view id) const { return directory_ / std::string(id); }
  std::filesystem::path PathOf(const FileId& id) const {
    return FolderOf(id.first) / std::to_string(id.second);
  }
  Result<void> MakeFolder(std::string_view id) const;
  Result<void> RemoveFolder(std::string_view id) const;
  using Wanted = std::function<bool(const UploadRecord&)>;
  Result<std::vector<UploadRecord>> List(const Wanted& wanted) const;
  Result<void> SweepFolders() const;

  Engine& engine_;
  const Clock& clock_;
  const std::filesystem::path directory_;
  const UploadLimits limits_;
  mutable std::mutex mutex_;
  std::set<FileId> writing_;
  std::map<FileId, Sha256> hashes_;
};

}  // namespace signum
