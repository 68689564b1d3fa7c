#pragma once

#include <chrono>
#include <cstdint>
#include <memory>

#include "storage/engine.h"

namespace signum {

// A clock that only goes forward, whatever the wall clock does, and goes on where it was after a
// restart: microseconds for which the store has been open. What a process does not Save() is lost,
// so a moment may come again after a crash; it never comes too early. Thread-safe.
class StoreClock {
 public:
  static Result<std::unique_ptr<StoreClock>> Open(Engine& engine);

  int64_t Now() const { return At(std::chrono::steady_clock::now()); }
  int64_t At(std::chrono::steady_clock::time_point moment) const {
    using std::chrono::microseconds;
    return began_at_ + std::chrono::duration_cast<microseconds>(moment - began_).count();
  }
  // Makes what has passed durable.
  Result<void> Save();

 private:
  StoreClock(Engine& engine, int64_t began_at)
      : engine_(engine), began_at_(began_at), began_(std::chrono::steady_clock::now()) {}

  Engine& engine_;
  const int64_t began_at_;
  const std::chrono::steady_clock::time_point began_;
};

}  // namespace signum
