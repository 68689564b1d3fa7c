#include "storage/format/backup_index.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "storage/format/canonical_json.h"
#include "tests/storage/format/sample_delta.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

using nlohmann::json;

std::string Changed(const std::string& pointer, const json& value) {
  json index = json::parse(MakeSampleBackup().Serialize());
  index[json::json_pointer(pointer)] = value;
  return CanonicalJson(index);
}

TEST(BackupIndex, ComesBack) {
  const BackupIndex index = MakeSampleBackup();
  EXPECT_EQ(BackupIndex::Parse(index.Serialize()).value(), index);
  EXPECT_EQ(index.TotalBytes(), 32 + 1048);
}

TEST(BackupIndex, NamesTheBadField) {
  const std::tuple<const char*, json, const char*> changes[] = {
      {"/format", "signum.recipe", "format"},
      {"/version", 2, "version"},
      {"/id", -1, "id"},
      {"/created", "yesterday", "created"},
      {"/files", 3, "files"},
      {"/files/0/path", "../../etc/passwd", "files[0].path"},
      {"/files/0/path", "/etc/passwd", "files[0].path"},
      {"/files/0/path", "z", "files[1].path: files are not sorted"},
      {"/files/0/stored", "../signing.key", "files[0].stored"},
      {"/files/0/stored", "a/b", "files[0].stored"},
      {"/files/0/stored", "", "files[0].stored"},
      {"/files/0/size", 1.5, "files[0].size"},
      {"/files/0/crc32c", "XYZ", "files[0].crc32c"},
      {"/files/0/mode", 4096, "files[0].mode"},
      {"/files/0/more", 1, "unknown fields"},
  };
  for (const auto& [pointer, value, text] : changes) {
    EXPECT_THAT(BackupIndex::Parse(Changed(pointer, value)),
                FailsWith(Errc::kCorrupt, "bad_backup", text))
        << pointer;
  }
  EXPECT_THAT(BackupIndex::Parse("{"), FailsWith(Errc::kCorrupt, "bad_backup", ""));
}

}  // namespace
}  // namespace signum
