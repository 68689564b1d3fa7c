#pragma once

#include <cstdint>

namespace signum::ops {

// The SHA-256 of each chunk of `chunk` bytes (the last may be shorter) of data [bytes], which is
// aligned to 16: digests [ceil(bytes / chunk), 32]. chunk is a multiple of 64.
struct ChunkDigestArgs {
  const uint8_t* data = nullptr;
  uint8_t* digests = nullptr;
  int64_t bytes = 0, chunk = 65536;
};
void ChunkDigests(const ChunkDigestArgs& args);

}  // namespace signum::ops
