#pragma once

#include <memory>
#include <optional>

#include "storage/staged_file.h"
#include "storage/staged_uploads.h"

namespace signum {

// The writer of one file of a staged upload. Outlived by the uploads.
class StagedWriter final : public UploadWriter {
 public:
  StagedWriter(StagedUploads& uploads, FileId id, UploadFile file)
      : uploads_(uploads), id_(std::move(id)), file_(std::move(file)) {}
  // What was not committed is cut off; the hash goes on from there if the file does.
  ~StagedWriter() override;

  Result<void> Open(const std::filesystem::path& path, std::optional<Sha256> hash);
  Result<void> Append(ConstBytes bytes) override;
  Result<UploadFile> Commit() override;

 private:
  Result<void> CheckSpace(uint64_t bytes);
  Result<void> TryCommit();
  Result<void> Refuse(const Digest& actual);

  StagedUploads& uploads_;
  FileId id_;
  UploadFile file_;
  std::unique_ptr<StagedFile> staged_;
  uint64_t checked_ = 0;  // bytes that may still be written without a look at the disk
};

}  // namespace signum
