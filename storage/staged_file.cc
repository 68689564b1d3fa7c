#include "storage/staged_file.h"

#include <fcntl.h>

#include <algorithm>
#include <vector>

namespace signum {

Result<StagedFile> StagedFile::Open(const std::filesystem::path& path, uint64_t durable,
                                    std::optional<Sha256> hash) {
  SIGNUM_ASSIGN(File file, File::Open(path, O_RDWR | O_CREAT));
  SIGNUM_ASSIGN(const uint64_t present, file.Size());
  if (present < durable) {
    return Fail(
        Errc::kCorrupt, "staged_file_short",
        path.string() + " has " + std::to_string(present) + " bytes of " + std::to_string(durable));
  }
  if (present > durable) SIGNUM_TRY(file.Truncate(durable));
  if (durable == 0) hash.emplace();
  return StagedFile(std::move(file), durable, std::move(hash));
}

Result<void> StagedFile::Append(ConstBytes bytes) {
  SIGNUM_TRY(EnsureHash());
  SIGNUM_TRY(file_.WriteAt(size_, bytes));
  hash_->Update(bytes);
  size_ += bytes.size();
  return {};
}

Result<void> StagedFile::Sync() {
  SIGNUM_TRY(file_.SyncData());
  durable_ = size_;
  return {};
}

Result<void> StagedFile::CutTo(uint64_t size) {
  if (size != size_) hash_.reset();
  if (size == 0) hash_.emplace();
  size_ = durable_ = size;
  return file_.Truncate(size);
}

Result<Digest> StagedFile::Finish() {
  SIGNUM_TRY(EnsureHash());
  const Digest digest = hash_->Finish();
  hash_.reset();
  return digest;
}

std::optional<Sha256> StagedFile::TakeHash() {
  if (size_ != durable_) hash_.reset();
  return std::exchange(hash_, std::nullopt);
}

Result<void> StagedFile::EnsureHash() {
  if (hash_) return {};
  Sha256 hash;
  std::vector<std::byte> buffer(std::min<uint64_t>(size_, 1 << 20));
  for (uint64_t offset = 0; offset < size_;) {
    const auto part = MutableBytes(buffer).first(std::min<uint64_t>(buffer.size(), size_ - offset));
    SIGNUM_TRY(file_.ReadAt(offset, part));
    hash.Update(part);
    offset += part.size();
  }
  hash_ = std::move(hash);
  return {};
}

}  // namespace signum
