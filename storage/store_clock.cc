#include "storage/store_clock.h"

#include <charconv>
#include <string>

namespace signum {

namespace {

constexpr std::string_view kClockKey = "g/clock/open-micros";

}  // namespace

Result<std::unique_ptr<StoreClock>> StoreClock::Open(Engine& engine) {
  SIGNUM_ASSIGN(const auto stored, engine.Get(kClockKey));
  int64_t micros = 0;
  if (stored) {
    const char* const end = stored->data() + stored->size();
    const auto [parsed, error] = std::from_chars(stored->data(), end, micros);
    if (error != std::errc() || parsed != end || micros < 0) {
      return Fail(Errc::kCorrupt, "bad_record", "the store's clock is not a number");
    }
  }
  return std::unique_ptr<StoreClock>(new StoreClock(engine, micros));
}

Result<void> StoreClock::Save() {
  Batch batch;
  batch.Put(std::string(kClockKey), std::to_string(Now()));
  return engine_.Commit(batch);
}

}  // namespace signum
