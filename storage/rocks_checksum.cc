#include "storage/rocks_checksum.h"

#include <rocksdb/file_checksum.h>

#include <cstdint>
#include <cstring>
#include <string>

namespace signum {

namespace {

#if defined(__x86_64__)

[[gnu::target("sse4.2")]] uint32_t ExtendCrc32c(uint32_t crc, const char* data, size_t n) {
  uint64_t state = ~crc;
  for (; n >= 8; data += 8, n -= 8) {
    uint64_t word;
    std::memcpy(&word, data, 8);
    state = __builtin_ia32_crc32di(state, word);
  }
  auto rest = static_cast<uint32_t>(state);
  for (; n > 0; ++data, --n) {
    rest = __builtin_ia32_crc32qi(rest, static_cast<unsigned char>(*data));
  }
  return ~rest;
}

class HardwareCrc32c final : public rocksdb::FileChecksumGenerator {
 public:
  void Update(const char* data, size_t n) override { crc_ = ExtendCrc32c(crc_, data, n); }
  // Big-endian, as RocksDB stores it.
  void Finalize() override {
    const uint32_t swapped = __builtin_bswap32(crc_);
    checksum_.assign(reinterpret_cast<const char*>(&swapped), sizeof swapped);
  }
  std::string GetChecksum() const override { return checksum_; }
  const char* Name() const override { return "FileChecksumCrc32c"; }

 private:
  uint32_t crc_ = 0;
  std::string checksum_;
};

class HardwareCrc32cFactory final : public rocksdb::FileChecksumGenFactory {
 public:
  std::unique_ptr<rocksdb::FileChecksumGenerator> CreateFileChecksumGenerator(
      const rocksdb::FileChecksumGenContext& context) override {
    const std::string& name = context.requested_checksum_func_name;
    if (!name.empty() && name != "FileChecksumCrc32c") return nullptr;
    return std::make_unique<HardwareCrc32c>();
  }
  const char* Name() const override { return "FileChecksumGenCrc32cFactory"; }
};

#endif

}  // namespace

std::shared_ptr<rocksdb::FileChecksumGenFactory> NewFileChecksumFactory() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) return std::make_shared<HardwareCrc32cFactory>();
#endif
  return rocksdb::GetFileChecksumGenCrc32cFactory();
}

}  // namespace signum
