#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/base/clock.h"
#include "storage/base/digest.h"
#include "storage/engine.h"

namespace signum {

// The answer to a mutation, as it is given again to whoever repeats the request.
struct StoredAnswer {
  int status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  // a subset that the caller chooses
  std::string body;                                          // any bytes
};

// Remembers the answer to a mutation by (principal, key) for a while, so that a request repeated
// with the same Idempotency-Key runs once. Answers are durable; that a request is running is known
// to this process alone, so one that a crash cut short may be sent again at once. Thread-safe.
class IdempotencyStore {
 public:
  static constexpr int64_t kKeepMicros = 24ll * 3600 * 1'000'000;

  IdempotencyStore(Engine& engine, const Clock& clock) : engine_(engine), clock_(clock) {}

  // The right to run a request. Dropping it unfinished forgets the request: the next may run.
  class Run {
   public:
    Run(IdempotencyStore& store, std::string key, Digest request)
        : store_(store), key_(std::move(key)), request_(request) {}
    ~Run();
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

    // Makes the answer durable; call once, before it is sent.
    Result<void> Finish(const StoredAnswer& answer);

   private:
    IdempotencyStore& store_;
    std::string key_;
    Digest request_;
  };

  struct Begun {
    std::optional<StoredAnswer> answer;  // what was answered before; else
    std::unique_ptr<Run> run;            // run it, then Finish
  };
  // `request` is a digest of method, target and body. kConflict "idempotency_in_flight" while the
  // first request with the key runs; kUnusable "idempotency_key_reused" for a key of another
  // request.
  Result<Begun> Begin(std::string_view principal, std::string_view key, const Digest& request);

  // Removes answers older than kKeepMicros. Returns how many.
  Result<size_t> Sweep();

 private:
  Engine& engine_;
  const Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, Digest, std::less<>> running_;  // engine key → request
};

}  // namespace signum
