// The index of a backup: what is accepted is exactly what it serializes to, and leads nowhere else.

#include "storage/base/name.h"
#include "storage/format/backup_index.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace signum;
  const std::string_view text = FuzzText(data, size);
  const auto index = BackupIndex::Parse(text);
  if (!index) return 0;
  Require(index->Serialize() == text);
  for (const BackupFile& file : index->files) {
    Require(CheckFilePath(file.path).has_value());
    Require(file.stored.find('/') == std::string::npos && file.stored != "..");
  }
  return 0;
}
