#include "storage/rocks_log_file.h"

#include <fcntl.h>

#include <algorithm>
#include <vector>

#include "storage/base/bytes.h"
#include "storage/base/file.h"
#include "storage/file_checksum.h"

namespace signum {

namespace {

namespace fs = std::filesystem;

// RocksDB's log format: blocks of 32 KiB; a record does not cross their borders, and less than a
// header at a block's end is filled up with zeros.
constexpr size_t kBlockBytes = 32 * 1024, kHeadBytes = 7;
constexpr size_t kSectorBytes = 512, kFewestUnwritten = 16;

uint32_t Crc32c(ConstBytes bytes) {
  FileChecksum checksum;
  checksum.Update(bytes);
  return static_cast<uint32_t>(std::stoul(checksum.Finish(), nullptr, 16));
}

// As it stands in a record: over its type and what it holds, turned and moved.
uint32_t RecordChecksum(ConstBytes type_and_payload) {
  const uint32_t crc = Crc32c(type_and_payload);
  return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

bool AllZero(ConstBytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

// Whether the record that `rest` begins with, shorter than it says, is whole but for a bit of its
// length: then it was damaged, not cut.
bool HasFlippedLength(ConstBytes rest) {
  const auto checksum = LoadLe<uint32_t>(rest.data());
  const auto length = LoadLe<uint16_t>(rest.data() + 4);
  for (int bit = 0; bit < 16; ++bit) {
    const size_t other = length ^ (1u << bit);
    if (kHeadBytes + other > rest.size()) continue;
    if (RecordChecksum(rest.subspan(6, 1 + other)) == checksum) return true;
  }
  return false;
}

// A disk that lost power may have made a file longer before it wrote its end.
bool EndsInUnwrittenSectors(ConstBytes record, uint64_t offset) {
  size_t at = 0;
  while (at + kFewestUnwritten <= record.size()) {
    if (AllZero(record.subspan(at))) return true;
    at += kSectorBytes - (offset + at) % kSectorBytes;
  }
  return AllZero(record);
}

// One block of a log. The last one may end in a record that is not there yet.
class BlockCheck {
 public:
  BlockCheck(ConstBytes block, uint64_t offset, bool last)
      : rest_(block), offset_(offset), last_(last) {}

  Result<void> Run() {
    while (rest_.size() >= kHeadBytes) {
      const size_t size = kHeadBytes + LoadLe<uint16_t>(rest_.data() + 4);
      if (size > rest_.size()) return CutShort();
      const ConstBytes record = rest_.first(size);
      if (RecordChecksum(record.subspan(6)) != LoadLe<uint32_t>(record.data())) {
        if (last_ && EndsInUnwrittenSectors(rest_, offset_)) return {};
        return Damaged();
      }
      rest_ = rest_.subspan(size);
      offset_ += size;
    }
    return last_ || AllZero(rest_) ? Result<void>() : Damaged();
  }

 private:
  Result<void> CutShort() const {
    return last_ && !HasFlippedLength(rest_) ? Result<void>() : Damaged();
  }
  Error Damaged() const {
    return Fail(Errc::kCorrupt, "file_damaged",
                "has a damaged record at byte " + std::to_string(offset_));
  }

  ConstBytes rest_;
  uint64_t offset_;
  const bool last_;
};

// Where the file ends but for blocks that were never written.
Result<uint64_t> WrittenSize(const File& file) {
  SIGNUM_ASSIGN(uint64_t size, file.Size());
  std::vector<std::byte> block(kBlockBytes);
  while (size > 0) {
    const uint64_t begin = (size - 1) / kBlockBytes * kBlockBytes;
    const auto part = MutableBytes(block).first(size - begin);
    SIGNUM_TRY(file.ReadAt(begin, part));
    if (!AllZero(part)) break;
    size = begin;
  }
  return size;
}

Result<void> CheckRecords(const File& file) {
  SIGNUM_ASSIGN(const uint64_t size, WrittenSize(file));
  std::vector<std::byte> block(kBlockBytes);
  for (uint64_t at = 0; at < size; at += kBlockBytes) {
    const auto part = MutableBytes(block).first(std::min<uint64_t>(kBlockBytes, size - at));
    SIGNUM_TRY(file.ReadAt(at, part));
    SIGNUM_TRY(BlockCheck(part, at, at + part.size() == size).Run());
  }
  return {};
}

}  // namespace

Result<void> CheckRocksLog(const fs::path& path) {
  SIGNUM_ASSIGN(const File file, File::Open(path, O_RDONLY));
  auto checked = CheckRecords(file);
  if (checked.has_value() || checked.error().code != Errc::kCorrupt) return checked;
  return Fail(Errc::kCorrupt, "file_damaged", path.string() + " " + checked.error().message);
}

Result<void> CheckRocksCurrent(const fs::path& directory) {
  const fs::path current = directory / "CURRENT";
  SIGNUM_ASSIGN(std::string manifest, ReadFile(current, 4096));
  const bool named = manifest.starts_with("MANIFEST-") && manifest.ends_with('\n');
  if (named) manifest.pop_back();
  if (named && fs::exists(directory / manifest)) return {};
  return Fail(Errc::kCorrupt, "file_damaged", current.string() + " names no MANIFEST");
}

Result<std::vector<fs::path>> ListRocksLogs(const fs::path& directory) {
  std::vector<fs::path> logs;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const std::string name = entry.path().filename();
    if (name.ends_with(".log") || name.starts_with("MANIFEST-")) logs.push_back(entry.path());
  }
  if (error) return FromErrno(error.value(), "list " + directory.string());
  return logs;
}

Result<void> CheckRocksLogs(const fs::path& directory) {
  if (!fs::exists(directory / "CURRENT")) return {};  // none was made yet
  SIGNUM_TRY(CheckRocksCurrent(directory));
  SIGNUM_ASSIGN(const auto logs, ListRocksLogs(directory));
  for (const fs::path& log : logs) SIGNUM_TRY(CheckRocksLog(log));
  return {};
}

}  // namespace signum
