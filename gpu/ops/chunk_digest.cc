#include "gpu/ops/chunk_digest.h"

#include <algorithm>
#include <cstring>

#include "gpu/ops/sha256.h"

namespace signum::ops {
namespace {

void Digest(const uint8_t* message, uint64_t bytes, uint8_t* out) {
  Sha256State state;
  for (uint64_t at = 0; at < bytes + 9; at += 64) {
    uint32_t words[16];
    for (int i = 0; i < 16; ++i) words[i] = PaddedWord(message, bytes, at, i);
    Sha256Block(state, words);
  }
  for (int i = 0; i < 8; ++i) {
    const uint32_t word = BigEndian(state.h[i]);
    std::memcpy(out + 4 * i, &word, 4);
  }
}

}  // namespace

void ChunkDigests(const ChunkDigestArgs& args) {
  for (int64_t at = 0, i = 0; at < args.bytes; at += args.chunk, ++i) {
    const int64_t bytes = std::min(args.chunk, args.bytes - at);
    Digest(args.data + at, static_cast<uint64_t>(bytes), args.digests + 32 * i);
  }
}

}  // namespace signum::ops
