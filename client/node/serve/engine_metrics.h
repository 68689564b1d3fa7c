#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "server/http/server.h"

namespace signum::client {

// What a scheduler is at, and has done since its start.
struct EngineStats {
  uint64_t running = 0, queued = 0, finished = 0, cancelled = 0;
  uint64_t steps = 0, tokens = 0, rows = 0;       // tokens drawn, rows computed
  uint64_t prompt_tokens = 0, prefix_tokens = 0;  // taken in; of those, found in the cache
  uint64_t preempted = 0;  // requests that gave their blocks to older ones, to be computed again
  uint64_t blocks = 0, blocks_used = 0;
  bool failed = false;  // ServeEngine::failed
};

// How a request ended, as its label has it.
enum class RequestEnd { kStop, kLength, kFailed, kCancelled };

// The series of one base. Thread-safe.
class EngineMetrics {
 public:
  struct Series;
  explicit EngineMetrics(std::unique_ptr<Series> series);
  ~EngineMetrics();

  void Publish(const EngineStats& stats);  // one thread at a time
  // Seconds since the request came (what its model took to load included), and since the token
  // before.
  void FirstToken(double seconds);
  void NextToken(double seconds);
  void Ended(RequestEnd end, double seconds);

 private:
  std::unique_ptr<Series> series_;
  EngineStats published_;
};

// Requests and engines in Prometheus' text format. Thread-safe.
class ServingMetrics {
 public:
  ServingMetrics();
  ~ServingMetrics();

  void Observe(const http::AccessRecord& record);
  std::shared_ptr<EngineMetrics> ForBase(const std::string& base);
  std::string Text() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace signum::client
