#include "storage/rocks_checksum.h"

#include <rocksdb/file_checksum.h>

#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

// The checksum of `bytes` given in two pieces.
std::string ChecksumOf(rocksdb::FileChecksumGenFactory& factory, std::string_view bytes,
                       size_t first) {
  rocksdb::FileChecksumGenContext context;
  context.file_name = "1.sst";
  const auto generator = factory.CreateFileChecksumGenerator(context);
  generator->Update(bytes.data(), first);
  generator->Update(bytes.data() + first, bytes.size() - first);
  generator->Finalize();
  return std::string(generator->Name()) + " " + HexEncode(AsBytes(generator->GetChecksum()));
}

TEST(RocksChecksum, IsTheOneRocksDbComputes) {
  const auto ours = NewFileChecksumFactory();
  const auto theirs = rocksdb::GetFileChecksumGenCrc32cFactory();
  EXPECT_STREQ(ours->Name(), theirs->Name());
  // The check value of CRC-32C (RFC 3720, B.4 names the polynomial).
  EXPECT_EQ(ChecksumOf(*ours, "123456789", 4), "FileChecksumCrc32c e3069283");
  for (const size_t size :
       {size_t{0}, size_t{1}, size_t{7}, size_t{8}, size_t{1000}, size_t{65537}}) {
    const std::string bytes = RandomBytes(size, size);
    EXPECT_EQ(ChecksumOf(*ours, bytes, size / 3), ChecksumOf(*theirs, bytes, size / 3)) << size;
  }
}

TEST(RocksChecksum, MakesOnlyWhatItKnows) {
  rocksdb::FileChecksumGenContext context;
  context.requested_checksum_func_name = "Another";
  EXPECT_EQ(NewFileChecksumFactory()->CreateFileChecksumGenerator(context), nullptr);
}

}  // namespace
}  // namespace signum
