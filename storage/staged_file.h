#pragma once

#include <filesystem>
#include <optional>

#include "storage/base/digest.h"
#include "storage/base/file.h"

namespace signum {

// A file that grows at its end and knows the digest of what it holds. What was appended counts once
// Sync() returned; Rewind() takes back the rest. Not thread-safe.
class StagedFile {
 public:
  // Opens or creates the file, of which `durable` bytes count; cuts what lies beyond. Hashing goes
  // on from `hash`, the state after these bytes, or from the bytes themselves, read again when they
  // are needed, where it is not given.
  static Result<StagedFile> Open(const std::filesystem::path& path, uint64_t durable,
                                 std::optional<Sha256> hash);

  Result<void> Append(ConstBytes bytes);
  Result<void> Sync();  // fdatasync
  // Cuts the file to `size` bytes, which were synced once, on disk too: a failed append takes no
  // room.
  Result<void> CutTo(uint64_t size);
  Result<void> Rewind() { return CutTo(durable_); }  // to the last Sync()
  Result<Digest> Finish();                           // of everything appended

  uint64_t durable() const { return durable_; }
  uint64_t size() const { return size_; }
  // The hash state after durable() bytes, if it is known; the file is not to be used after.
  std::optional<Sha256> TakeHash();

 private:
  StagedFile(File file, uint64_t durable, std::optional<Sha256> hash)
      : file_(std::move(file)), durable_(durable), size_(durable), hash_(std::move(hash)) {}
  Result<void> EnsureHash();

  File file_;
  uint64_t durable_ = 0;
  uint64_t size_ = 0;
  std::optional<Sha256> hash_;  // over size_ bytes
};

}  // namespace signum
