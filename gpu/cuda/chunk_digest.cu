#include "gpu/cuda/delta_ops.cuh"
#include "gpu/cuda/device.cuh"
#include "gpu/cuda/element.cuh"
#include "gpu/ops/sha256.h"

// A thread a chunk: a chunk's hash is one long chain, but a delta has thousands of chunks. Small
// blocks spread them over all multiprocessors.

namespace signum::cuda {
namespace {

constexpr unsigned kBlock = 32;

// A whole block of the message, aligned to 16 bytes.
__device__ void LoadWords(const uint8_t* from, uint32_t* words) {
  const auto* quads = reinterpret_cast<const uint4*>(from);
#pragma unroll
  for (int q = 0; q < 4; ++q) {
    const uint4 quad = quads[q];
    words[4 * q] = ops::BigEndian(quad.x);
    words[4 * q + 1] = ops::BigEndian(quad.y);
    words[4 * q + 2] = ops::BigEndian(quad.z);
    words[4 * q + 3] = ops::BigEndian(quad.w);
  }
}

__global__ void __launch_bounds__(kBlock) DigestChunk(ops::ChunkDigestArgs args) {
  const int64_t chunk = GlobalThread();
  const int64_t first = chunk * args.chunk;
  if (first >= args.bytes) return;
  const uint8_t* message = args.data + first;
  const auto bytes = static_cast<uint64_t>(min(args.chunk, args.bytes - first));
  ops::Sha256State state;
  uint32_t words[16];
  uint64_t at = 0;
  for (; at + 64 <= bytes; at += 64) {
    LoadWords(message + at, words);
    ops::Sha256Block(state, words);
  }
  for (; at < bytes + 9; at += 64) {
    for (int i = 0; i < 16; ++i) words[i] = ops::PaddedWord(message, bytes, at, i);
    ops::Sha256Block(state, words);
  }
  uint8_t* digest = args.digests + chunk * 32;
  for (int i = 0; i < 32; ++i) {
    digest[i] = static_cast<uint8_t>(state.h[i / 4] >> (24 - i % 4 * 8));
  }
}

}  // namespace

void ChunkDigests(Context& context, const ops::ChunkDigestArgs& args) {
  if (!Aligned(args.data, 16) || args.chunk <= 0 || args.chunk % 64 != 0) {
    return context.Fail("ChunkDigests: data is not aligned to 16, or chunks are no multiple of 64");
  }
  const int64_t chunks = (args.bytes + args.chunk - 1) / args.chunk;
  context.Launch("ChunkDigests", (chunks + kBlock - 1) / kBlock, kBlock, DigestChunk, args);
}

}  // namespace signum::cuda
