#include "storage/schema.h"

#include <charconv>
#include <string>

namespace signum {

namespace {

constexpr std::string_view kSchemaKey = "g/schema/version";

Result<void> CheckVersion(const std::string& text) {
  uint64_t version = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
  if (error != std::errc() || end != text.data() + text.size()) {
    return Fail(Errc::kCorrupt, "bad_record", "the store's schema version is not a number");
  }
  if (version <= kSchemaVersion) return {};
  return Fail(Errc::kUnavailable, "schema_too_new",
              "the store has schema " + text + "; this version of Signum knows up to " +
                  std::to_string(kSchemaVersion));
}

}  // namespace

Result<void> EnsureSchema(Engine& engine) {
  SIGNUM_ASSIGN(const auto stored, engine.Get(kSchemaKey));
  if (stored) return CheckVersion(*stored);
  Batch batch;
  batch.Put(std::string(kSchemaKey), std::to_string(kSchemaVersion));
  return engine.Commit(batch);
}

}  // namespace signum
