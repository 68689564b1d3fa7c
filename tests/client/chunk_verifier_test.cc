#include "client/chunk_verifier.h"

#include <gtest/gtest.h>

#include "tests/support/result_matchers.h"

namespace signum::client {
namespace {

constexpr uint64_t kSize = 3 * kChunkBytes + 1000;

std::string SomeBytes() {
  std::string out(kSize, '\0');
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<char>((i * 31) ^ (i >> 9));
  return out;
}

Manifest ManifestOf(const std::string& bytes) {
  Manifest manifest;
  manifest.tenant = "acme";
  manifest.model = "chat";
  manifest.version = 4;
  manifest.delta_size = bytes.size();
  manifest.delta_digest = Sha256::Of(AsBytes(bytes));
  for (size_t i = 0; i < bytes.size(); i += kChunkBytes) {
    manifest.chunks.push_back(Sha256::Of(AsBytes(std::string_view(bytes).substr(i, kChunkBytes))));
  }
  return manifest;
}

Result<void> VerifyInPieces(const std::string& bytes, const Manifest& manifest, size_t piece) {
  SIGNUM_ASSIGN(ChunkVerifier verifier, ChunkVerifier::Create(manifest));
  for (size_t i = 0; i < bytes.size(); i += piece) {
    SIGNUM_TRY(verifier.Take(AsBytes(std::string_view(bytes).substr(i, piece))));
  }
  return verifier.Finish();
}

TEST(ChunkVerifierTest, AcceptsTheRightBytesInAnyPieces) {
  const std::string bytes = SomeBytes();
  for (const size_t piece :
       {size_t{1000}, size_t{kChunkBytes}, size_t{kChunkBytes + 1}, bytes.size()}) {
    EXPECT_THAT(VerifyInPieces(bytes, ManifestOf(bytes), piece), Ok()) << piece;
  }
}

TEST(ChunkVerifierTest, NamesTheChunkOfAFlippedBit) {
  const Manifest manifest = ManifestOf(SomeBytes());
  for (const size_t at :
       {size_t{0}, size_t{kChunkBytes - 1}, size_t{kChunkBytes}, size_t{kSize - 1}}) {
    std::string bytes = SomeBytes();
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    EXPECT_THAT(VerifyInPieces(bytes, manifest, 777),
                FailsWith(Errc::kCorrupt, "chunk_mismatch",
                          "acme/chat@4: chunk " + std::to_string(at / kChunkBytes) + " "));
  }
}

TEST(ChunkVerifierTest, RefusesAnotherLength) {
  const Manifest manifest = ManifestOf(SomeBytes());
  EXPECT_THAT(VerifyInPieces(SomeBytes() + "x", manifest, 4096),
              FailsWith(Errc::kCorrupt, "size_mismatch", "more bytes"));
  EXPECT_THAT(VerifyInPieces(SomeBytes().substr(0, kSize - 1), manifest, 4096),
              FailsWith(Errc::kCorrupt, "size_mismatch", std::to_string(kSize - 1)));
  EXPECT_THAT(VerifyInPieces("", manifest, 4096), FailsWith(Errc::kCorrupt, "size_mismatch", "0"));
}

TEST(ChunkVerifierTest, RefusesAManifestWithMissingChunksOrAnotherDigest) {
  Manifest manifest = ManifestOf(SomeBytes());
  manifest.chunks.pop_back();
  EXPECT_THAT(VerifyInPieces(SomeBytes(), manifest, 4096),
              FailsWith(Errc::kCorrupt, "bad_manifest", "3 chunks"));
  manifest = ManifestOf(SomeBytes());
  manifest.delta_digest = {};
  EXPECT_THAT(VerifyInPieces(SomeBytes(), manifest, 4096),
              FailsWith(Errc::kCorrupt, "digest_mismatch", "acme/chat@4"));
}

TEST(ChunkVerifierTest, ChecksAWholeSource) {
  const Manifest manifest = ManifestOf(SomeBytes());
  EXPECT_THAT(VerifyDelta(MemorySource(SomeBytes()), manifest), Ok());
  std::string bytes = SomeBytes();
  bytes[2 * kChunkBytes] = static_cast<char>(bytes[2 * kChunkBytes] ^ 128);
  EXPECT_THAT(VerifyDelta(MemorySource(bytes), manifest),
              FailsWith(Errc::kCorrupt, "chunk_mismatch", "chunk 2 (bytes 131072 to 196607)"));
  EXPECT_THAT(VerifyDelta(MemorySource(SomeBytes()), manifest, [](uint64_t) { return false; }),
              FailsWith(Errc::kCancelled, "cancelled", ""));
}

}  // namespace
}  // namespace signum::client
