#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace signum::client {

// Counters of the node, in Prometheus' text format. Thread-safe.
class NodeMetrics {
 public:
  NodeMetrics();
  ~NodeMetrics();

  void Loaded(std::string_view source, double seconds);
  void Downloaded(uint64_t bytes);
  void Refused(const std::string& reason);
  void VerifyFailed(const std::string& reason);  // of bytes that came or were kept
  void Evicted();
  void RegistryFailed(const std::string& reason);
  void Reported(bool ok);

  struct Gauges {
    uint64_t published = 0, retiring = 0, wanted = 0, lagging = 0, leases = 0;
    uint64_t memory_total = 0, memory_used = 0;
    uint64_t device_total = 0, device_used = 0, device_free = 0;
    uint64_t slots = 0, slots_used = 0;
    uint64_t guests = 0;
    uint64_t cache_bytes = 0;
    uint64_t swaps = 0, freed = 0;
    bool registry_reachable = false;
  };
  std::string Text(const Gauges& gauges);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace signum::client
