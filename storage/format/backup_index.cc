#include "storage/format/backup_index.h"

#include <algorithm>

#include "storage/base/clock.h"
#include "storage/base/name.h"
#include "storage/format/canonical_json.h"
#include "storage/format/json_fields.h"

namespace signum {

namespace {

using nlohmann::json;

constexpr const char* kFormat = "signum.backup";

bool IsChecksum(std::string_view text) {
  return text.size() == 8 && text.find_first_not_of("0123456789abcdef") == text.npos;
}

bool IsFileName(std::string_view name) {
  return name.find('/') == name.npos && CheckFilePath(name).has_value();
}

BackupFile FileFromJson(const json& value, const std::string& path, std::string* error) {
  JsonFields fields(value, path);
  BackupFile file;
  file.path = fields.String("path");
  file.stored = fields.String("stored");
  file.size = fields.Unsigned("size");
  file.crc32c = fields.String("crc32c");
  const uint64_t mode = fields.Unsigned("mode");
  file.mode = static_cast<uint32_t>(mode & 0777);
  if (!fields.failed()) {
    if (CheckFilePath(file.path).has_error()) fields.Refuse(fields.PathOf("path"));
    if (!IsFileName(file.stored)) fields.Refuse(fields.PathOf("stored"));
    if (!IsChecksum(file.crc32c)) fields.Refuse(fields.PathOf("crc32c"));
    if (mode > 0777) fields.Refuse(fields.PathOf("mode"));
  }
  *error = fields.error();
  return file;
}

Error Bad(const std::string& why) {
  return Fail(Errc::kCorrupt, "bad_backup", "index of a backup: " + why);
}

}  // namespace

uint64_t BackupIndex::TotalBytes() const {
  uint64_t total = 0;
  for (const BackupFile& file : files) total += file.size;
  return total;
}

std::string BackupIndex::Serialize() const {
  json list = json::array();
  for (const BackupFile& file : files) {
    list.push_back({{"path", file.path},
                    {"stored", file.stored},
                    {"size", file.size},
                    {"crc32c", file.crc32c},
                    {"mode", file.mode}});
  }
  return CanonicalJson({{"format", kFormat},
                        {"version", 1},
                        {"id", id},
                        {"created", created},
                        {"added_bytes", added_bytes},
                        {"files", std::move(list)}});
}

Result<BackupIndex> BackupIndex::Parse(std::string_view text) {
  const auto value = ParseJson(text);
  if (value.has_error()) return Bad(value.error().message);
  JsonFields fields(*value, "");
  fields.Expect("format", kFormat);
  fields.Expect("version", 1);
  BackupIndex index;
  index.id = fields.Unsigned("id");
  index.created = fields.String("created");
  index.added_bytes = fields.Unsigned("added_bytes");
  if (!fields.failed() && !ParseTime(index.created)) fields.Refuse("created is no time");
  for (const json& element : fields.Array("files")) {
    std::string error;
    const std::string where = "files[" + std::to_string(index.files.size()) + "]";
    BackupFile file = FileFromJson(element, where, &error);
    if (error.empty() && !index.files.empty() && index.files.back().path >= file.path) {
      error = where + ".path: files are not sorted by path";
    }
    if (!error.empty()) fields.Refuse(error);
    if (fields.failed()) break;
    index.files.push_back(std::move(file));
  }
  if (fields.failed()) return Bad(fields.error());
  if (index.Serialize() != text) return Bad("not in canonical form, or with unknown fields");
  return index;
}

}  // namespace signum
