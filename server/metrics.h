#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "server/http/server.h"
#include "storage/base/clock.h"

namespace signum {

// What /metrics reports. Counters are kept here as requests end; gauges of the store are handed in
// when someone asks. Labels are of low cardinality: route patterns, never paths. Thread-safe.
class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  void Observe(const http::AccessRecord& record);

  // A job of the store itself ended.
  void CountMaintenance(const std::string& kind, std::string_view state, UnixMicros now);
  void CountCollected(uint64_t bytes);
  // A request that was refused for want of quota, rate or room, or in read-only mode, by the code
  // of its problem; other codes are not counted.
  void CountRefusal(std::string_view code);

  // Counts a waiting watcher until the handle is dropped.
  std::shared_ptr<void> CountWatcher();
  uint64_t watchers() const;

  struct Gauges {
    uint64_t connections = 0;
    std::map<std::string, uint64_t> jobs;  // by state
    uint64_t uploads = 0;
    uint64_t blob_bytes = 0, metadata_bytes = 0;
    uint64_t feed_seq = 0;
    uint64_t damaged = 0;  // objects in quarantine
    uint64_t disk_free = 0, disk_kept = 0;
    bool read_only = false;
  };
  // The Prometheus text format, version 0.0.4.
  std::string Text(const Gauges& gauges);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace signum
