#include "client/chunk_verifier.h"

#include <algorithm>

namespace signum::client {

namespace {

std::string NameOf(const Manifest& manifest) {
  return manifest.tenant + "/" + manifest.model + "@" + std::to_string(manifest.version);
}

// `end`: of the chunk's bytes in the file.
Result<void> CheckChunk(const std::string& name, size_t chunk, uint64_t end, const Digest& actual,
                        const Digest& expected) {
  if (actual == expected) return {};
  return Fail(Errc::kCorrupt, "chunk_mismatch",
              name + ": chunk " + std::to_string(chunk) + " (bytes " +
                  std::to_string(chunk * kChunkBytes) + " to " + std::to_string(end - 1) + ") is " +
                  actual.Text() + ", the manifest has " + expected.Text());
}

}  // namespace

Result<void> CheckChunkCount(const Manifest& manifest) {
  const uint64_t size = manifest.delta_size;
  const uint64_t expected = size / kChunkBytes + (size % kChunkBytes != 0 ? 1 : 0);
  if (manifest.chunks.size() == expected) return {};
  return Fail(Errc::kCorrupt, "bad_manifest",
              NameOf(manifest) + ": the manifest lists " + std::to_string(manifest.chunks.size()) +
                  " chunks for " + std::to_string(size) + " bytes");
}

Result<ChunkVerifier> ChunkVerifier::Create(const Manifest& manifest) {
  SIGNUM_TRY(CheckChunkCount(manifest));
  return ChunkVerifier(NameOf(manifest), manifest.delta_size, manifest.delta_digest,
                       manifest.chunks);
}

Result<void> ChunkVerifier::Take(ConstBytes bytes) {
  if (bytes.size() > size_ - taken_) {
    return Fail(Errc::kCorrupt, "size_mismatch",
                name_ + ": more bytes than the " + std::to_string(size_) + " of the manifest");
  }
  while (!bytes.empty()) {
    const uint64_t end = std::min<uint64_t>((next_ + 1) * kChunkBytes, size_);
    const ConstBytes part = bytes.first(std::min<uint64_t>(bytes.size(), end - taken_));
    chunk_hash_.Update(part);
    file_hash_.Update(part);
    taken_ += part.size();
    bytes = bytes.subspan(part.size());
    if (taken_ == end) SIGNUM_TRY(EndChunk());
  }
  return {};
}

Result<void> ChunkVerifier::EndChunk() {
  SIGNUM_TRY(CheckChunk(name_, next_, taken_, chunk_hash_.Finish(), chunks_[next_]));
  ++next_;
  return {};
}

Result<void> ChunkVerifier::Finish() {
  if (taken_ != size_) {
    return Fail(Errc::kCorrupt, "size_mismatch",
                name_ + ": " + std::to_string(taken_) + " bytes, the manifest has " +
                    std::to_string(size_));
  }
  const Digest actual = file_hash_.Finish();
  if (actual == whole_) return {};
  return Fail(Errc::kCorrupt, "digest_mismatch",
              name_ + ": the file is " + actual.Text() + ", the manifest has " + whole_.Text());
}

Result<void> CheckChunks(const Manifest& manifest, uint64_t offset, ConstBytes bytes) {
  for (size_t at = 0; at < bytes.size(); at += kChunkBytes) {
    const size_t chunk = (offset + at) / kChunkBytes;
    if (chunk >= manifest.chunks.size()) {
      return Fail(Errc::kCorrupt, "bad_manifest",
                  NameOf(manifest) + ": the manifest lists no chunk " + std::to_string(chunk));
    }
    const ConstBytes part = bytes.subspan(at, std::min<size_t>(kChunkBytes, bytes.size() - at));
    SIGNUM_TRY(CheckChunk(NameOf(manifest), chunk, offset + at + part.size(), Sha256::Of(part),
                          manifest.chunks[chunk]));
  }
  return {};
}

Result<void> VerifyDelta(const ByteSource& file, const Manifest& manifest,
                         const std::function<bool(uint64_t)>& progress) {
  SIGNUM_ASSIGN(ChunkVerifier verifier, ChunkVerifier::Create(manifest));
  std::string buffer;
  const ConstBytes view = file.View();
  for (uint64_t offset = 0; offset < file.size();) {
    const uint64_t length = std::min<uint64_t>(1u << 20, file.size() - offset);
    if (view.empty()) {
      buffer.resize(length);
      SIGNUM_TRY(file.Read(offset, {reinterpret_cast<std::byte*>(buffer.data()), length}));
    }
    SIGNUM_TRY(verifier.Take(view.empty() ? AsBytes(buffer) : view.subspan(offset, length)));
    offset += length;
    if (progress && !progress(offset)) return Fail(Errc::kCancelled, "cancelled", "stopped");
  }
  return verifier.Finish();
}

}  // namespace signum::client
