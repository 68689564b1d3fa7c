#include "storage/schema.h"

#include <charconv>
#include <string>

namespace signum {

namespace {

constexpr std::string_view kSchemaKey = "g/schema/version";

Result<uint64_t> ParseVersion(const std::string& text) {
  uint64_t version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error == std::errc() && end == text.data() + text.size()) return version;
  return Fail(Errc::kCorrupt, "bad_record", "the store's schema version is not a number");
}

}  // namespace

// What an older program wrote is read as it is; from now on it may not read what is written.
Result<void> EnsureSchema(Engine& engine) {
  SIGNUM_ASSIGN(const auto stored, engine.Get(kSchemaKey));
  SIGNUM_ASSIGN(const uint64_t version, ParseVersion(stored.value_or("0")));
  if (version == kSchemaVersion) return {};
  if (version > kSchemaVersion) {
    return Fail(Errc::kUnavailable, "schema_too_new",
                "the store has schema " + *stored + "; this version of Signum knows up to " +
                    std::to_string(kSchemaVersion));
  }
  Batch batch;
  batch.Require(std::string(kSchemaKey), stored);
  batch.Put(std::string(kSchemaKey), std::to_string(kSchemaVersion));
  return engine.Commit(batch);
}

}  // namespace signum
