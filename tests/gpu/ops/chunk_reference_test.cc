#include <gtest/gtest.h>

#include <cstring>

#include "gpu/ops/chunk_digest.h"
#include "storage/base/digest.h"
#include "tests/gpu/ops/check.h"

namespace signum::ops {
namespace {

TEST(ChunkDigests, AreOpenSslsSha256) {
  std::mt19937 random(7);
  for (size_t size = 1; size < 300; ++size) {
    const std::vector<uint8_t> data = RandomBytes(random, size);
    std::vector<uint8_t> digest(32);
    ChunkDigests({data.data(), digest.data(), static_cast<int64_t>(size), 65536});
    const Digest expected = Sha256::Of(std::as_bytes(std::span(data)));
    EXPECT_EQ(std::memcmp(digest.data(), expected.bytes.data(), 32), 0) << size;
  }
}

}  // namespace
}  // namespace signum::ops
