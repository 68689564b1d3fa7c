#pragma once

#include <functional>
#include <string>
#include <vector>

#include "storage/base/bytes.h"
#include "storage/base/digest.h"
#include "storage/base/result.h"
#include "storage/format/delta_file.h"
#include "storage/format/manifest.h"

namespace signum::client {

// Checks bytes of a delta file against the chunk digests of its signed manifest as they arrive, in
// order and in pieces of any size. Bytes count as good only up to verified(); the rest of a chunk
// is unknown until its last byte is here. Not thread-safe.
class ChunkVerifier {
 public:
  // Errc::kCorrupt "bad_manifest" where the manifest has not exactly the chunks that its size asks
  // for.
  static Result<ChunkVerifier> Create(const Manifest& manifest);

  // Errc::kCorrupt "chunk_mismatch" names chunk and byte range; "size_mismatch" past the end.
  Result<void> Take(ConstBytes bytes);
  // Errc::kCorrupt "size_mismatch" unless every byte was taken; "digest_mismatch" where the chunks
  // hold but the whole file's digest does not.
  Result<void> Finish();

  uint64_t taken() const { return taken_; }
  uint64_t verified() const {
    return next_ * kChunkBytes;
  }  // whole chunks; at the end: past the size

 private:
  ChunkVerifier(std::string name, uint64_t size, Digest whole, std::vector<Digest> chunks)
      : name_(std::move(name)), size_(size), whole_(whole), chunks_(std::move(chunks)) {}
  Result<void> EndChunk();

  std::string name_;
  uint64_t size_;
  Digest whole_;
  std::vector<Digest> chunks_;
  uint64_t taken_ = 0;
  size_t next_ = 0;  // chunk being taken
  Sha256 chunk_hash_, file_hash_;
};

// Errc::kCorrupt "bad_manifest" where the manifest has not exactly the chunks that its size asks
// for.
Result<void> CheckChunkCount(const Manifest& manifest);

// Checks `bytes` of a delta file from `offset` on, a multiple of kChunkBytes; they end where a
// chunk does, or the file. Errors as ChunkVerifier's.
Result<void> CheckChunks(const Manifest& manifest, uint64_t offset, ConstBytes bytes);

// Checks a whole file in memory or mapped. `progress` as for hashing: false cancels.
Result<void> VerifyDelta(const ByteSource& file, const Manifest& manifest,
                         const std::function<bool(uint64_t)>& progress = {});

}  // namespace signum::client
