#include "gpu/ops/chunk_digest.h"

#include "gpu/ops/delta_ops.h"
#include "tests/gpu/ops/cases.h"

namespace signum::ops {
namespace {

std::vector<uint8_t> Digests(Backend& backend, const std::vector<uint8_t>& data, int64_t chunk) {
  const auto bytes = static_cast<int64_t>(data.size());
  const OnDevice<uint8_t> on_data(backend, data);
  const OnDevice<uint8_t> digests(backend, static_cast<size_t>((bytes + chunk - 1) / chunk * 32));
  DeltaOpsOf(backend).ChunkDigests({on_data.data(), digests.data(), bytes, chunk});
  return digests.Get();
}

// FIPS 180-4's example.
void Known(Backend& backend, Report& report) {
  const std::vector<uint8_t> expected = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea,
                                         0x41, 0x41, 0x40, 0xde, 0x5d, 0xae, 0x22, 0x23,
                                         0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17, 0x7a, 0x9c,
                                         0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
  report.Equal(Digests(backend, {'a', 'b', 'c'}, 65536), expected, "abc");
}

// The reference, which chunk_reference_test.cc holds against OpenSSL.
void AsTheReference(Backend& backend, Report& report) {
  std::mt19937 random(1);
  for (const size_t bytes : {1U, 55U, 56U, 63U, 64U, 65U, 119U, 120U, 128U, 8192U, 300000U}) {
    for (const int64_t chunk : {64, 128, 65536}) {
      const std::vector<uint8_t> data = RandomBytes(random, bytes);
      const auto size = static_cast<int64_t>(bytes);
      std::vector<uint8_t> expected(static_cast<size_t>((size + chunk - 1) / chunk * 32));
      ChunkDigests({data.data(), expected.data(), size, chunk});
      report.Equal(Digests(backend, data, chunk), expected,
                   std::to_string(bytes) + " bytes in chunks of " + std::to_string(chunk));
    }
  }
}

}  // namespace

std::vector<Case> ChunkDigestCases() {
  return {Case{"ChunkDigestKnown", Known}, Case{"ChunkDigestAsTheReference", AsTheReference}};
}

}  // namespace signum::ops
