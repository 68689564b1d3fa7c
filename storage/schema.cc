#include "storage/schema.h"

#include <charconv>
#include <string>

namespace signum {

namespace {

constexpr std::string_view kSchemaKey = "g/schema/version";

// The version of the store, which this program knows.
Result<uint64_t> KnownVersion(const std::string& text) {
  uint64_t version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Fail(Errc::kCorrupt, "bad_record", "the store's schema version is not a number");
  }
  if (version <= kSchemaVersion) return version;
  return Fail(Errc::kUnavailable, "schema_too_new",
              "the store has schema " + text + "; this version of Signum knows up to " +
                  std::to_string(kSchemaVersion));
}

}  // namespace

Result<void> EnsureSchema(Engine& engine) {
  SIGNUM_ASSIGN(const auto stored, engine.Get(kSchemaKey));
  if (stored) {
    SIGNUM_ASSIGN(const uint64_t version, KnownVersion(*stored));
    if (version == kSchemaVersion) return {};
  }
  Batch batch;
  batch.Put(std::string(kSchemaKey), std::to_string(kSchemaVersion));
  return engine.Commit(batch);
}

}  // namespace signum
