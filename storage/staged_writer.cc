#include "storage/staged_writer.h"

#include <utility>

namespace signum {
namespace {

constexpr uint64_t kSpaceCheckBytes = 16 << 20;  // how much is written between looks at free space

}  // namespace

StagedWriter::~StagedWriter() {
  std::optional<Sha256> hash;
  if (staged_) {
    if (staged_->size() != staged_->durable()) static_cast<void>(staged_->Rewind());
    hash = staged_->TakeHash();
  }
  uploads_.Release(id_, file_.digest ? std::nullopt : std::move(hash));
}

Result<void> StagedWriter::Open(const std::filesystem::path& path, std::optional<Sha256> hash) {
  SIGNUM_ASSIGN(StagedFile staged, StagedFile::Open(path, file_.offset, std::move(hash)));
  staged_ = std::make_unique<StagedFile>(std::move(staged));
  return {};
}

Result<void> StagedWriter::Append(ConstBytes bytes) {
  if (bytes.size() > file_.size - staged_->size()) {
    return Fail(Errc::kTooLarge, "upload_too_large",
                "'" + file_.path + "' was declared with " + std::to_string(file_.size) +
                    " bytes; " + std::to_string(bytes.size()) + " at offset " +
                    std::to_string(staged_->size()) + " are too many");
  }
  SIGNUM_TRY(CheckSpace(bytes.size()));
  const auto appended = staged_->Append(bytes);
  if (appended.has_error()) SIGNUM_TRY(staged_->Rewind());
  return appended;
}

Result<UploadFile> StagedWriter::Commit() {
  const auto committed = TryCommit();
  if (committed.has_value()) return file_;
  // Makes the file hold what the record says.
  SIGNUM_TRY(staged_->CutTo(file_.offset));
  return committed.error();
}

// Looks at the disk before the first byte and then now and then.
Result<void> StagedWriter::CheckSpace(uint64_t bytes) {
  if (checked_ >= bytes) {
    checked_ -= bytes;
    return {};
  }
  SIGNUM_TRY(uploads_.CheckSpace(bytes));
  checked_ = kSpaceCheckBytes;
  return {};
}

Result<void> StagedWriter::TryCommit() {
  if (file_.digest) return {};
  SIGNUM_TRY(staged_->Sync());
  UploadProgress progress{staged_->size(), {}};
  if (progress.offset == file_.size) {
    SIGNUM_ASSIGN(progress.digest, staged_->Finish());
    if (file_.expected && *file_.expected != *progress.digest) return Refuse(*progress.digest);
  }
  SIGNUM_TRY(uploads_.Record(id_, progress));
  file_.offset = progress.offset;
  file_.digest = progress.digest;
  return {};
}

// The whole file is wrong, so none of it is kept.
Result<void> StagedWriter::Refuse(const Digest& actual) {
  SIGNUM_TRY(uploads_.Record(id_, {}));
  file_.offset = 0;
  return DigestMismatch(file_, actual);
}

}  // namespace signum
