#include "client/node/node_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <mutex>
#include <set>

namespace signum::client {

namespace {

auto& Counters(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}

auto& Gauge(prometheus::Registry& registry, const char* name, const char* help) {
  return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
}

// A registry names reasons too: what it may bring up must not grow without bound.
constexpr size_t kMaxReasons = 100;

}  // namespace

struct NodeMetrics::State {
  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& loads =
      Counters(registry, "signum_node_loads_total", "Deltas loaded and verified, by source");
  prometheus::Family<prometheus::Counter>& refused =
      Counters(registry, "signum_node_refused_total", "Failed loads, by reason");
  prometheus::Family<prometheus::Counter>& verify_failures =
      Counters(registry, "signum_node_verify_failures_total",
               "Deltas and manifests that are not what was signed, by reason");
  prometheus::Counter& evictions =
      Counters(registry, "signum_node_evictions_total", "Models that made room for others").Add({});
  prometheus::Family<prometheus::Counter>& registry_errors = Counters(
      registry, "signum_node_registry_errors_total", "Failed calls of live and watch, by reason");
  prometheus::Family<prometheus::Counter>& reports =
      Counters(registry, "signum_node_reports_total", "State reports sent, by result");
  prometheus::Counter& downloaded =
      Counters(registry, "signum_node_downloaded_bytes_total", "Bytes of deltas downloaded")
          .Add({});
  prometheus::Histogram& seconds = prometheus::BuildHistogram()
                                       .Name("signum_node_load_seconds")
                                       .Help("Time from the start of a load to its publication")
                                       .Register(registry)
                                       .Add({}, prometheus::Histogram::BucketBoundaries{
                                                    0.005, 0.02, 0.05, 0.1, 0.5, 1, 5, 30, 120});
  prometheus::Gauge& published =
      Gauge(registry, "signum_node_published", "Generations that are served");
  prometheus::Gauge& retiring =
      Gauge(registry, "signum_node_retiring", "Replaced generations that still have readers");
  prometheus::Gauge& leases = Gauge(registry, "signum_node_leases", "Leases held");
  prometheus::Gauge& wanted =
      Gauge(registry, "signum_node_wanted", "Models the registry wants here");
  prometheus::Gauge& lagging =
      Gauge(registry, "signum_node_lagging", "Wanted models that are not applied");
  prometheus::Gauge& memory_total =
      Gauge(registry, "signum_node_memory_bytes", "Memory allowed for deltas");
  prometheus::Gauge& memory_used =
      Gauge(registry, "signum_node_memory_used_bytes", "Memory taken by deltas");
  prometheus::Gauge& device_total =
      Gauge(registry, "signum_node_device_memory_bytes", "Device memory allowed for deltas");
  prometheus::Gauge& device_used =
      Gauge(registry, "signum_node_device_memory_used_bytes", "Device memory taken by deltas");
  prometheus::Gauge& device_free = Gauge(registry, "signum_node_device_free_bytes",
                                         "Memory of the device that nobody has taken");
  prometheus::Family<prometheus::Gauge>& slots = prometheus::BuildGauge()
                                                     .Name("signum_node_slots")
                                                     .Help("Places of --slots, by state")
                                                     .Register(registry);
  prometheus::Gauge& slots_used = slots.Add({{"state", "used"}});
  prometheus::Gauge& slots_free = slots.Add({{"state", "free"}});
  prometheus::Gauge& guests = Gauge(registry, "signum_node_guests",
                                    "Tenants that are followed because they were asked for");
  prometheus::Gauge& cache_bytes =
      Gauge(registry, "signum_node_cache_bytes", "Bytes of the cache on disk");
  prometheus::Gauge& swaps =
      Gauge(registry, "signum_node_publications", "Generations published since the start");
  prometheus::Gauge& freed =
      Gauge(registry, "signum_node_freed", "Generations freed since the start");
  prometheus::Gauge& reachable =
      Gauge(registry, "signum_node_registry_up", "1 where the last call of the registry succeeded");
  std::mutex mutex;
  std::set<std::string> reasons;

  void Count(prometheus::Family<prometheus::Counter>& family, const std::string& reason) {
    const std::lock_guard lock(mutex);
    const bool known = reasons.contains(reason) || reasons.size() < kMaxReasons;
    if (known) reasons.insert(reason);
    family.Add({{"reason", known ? reason : "other"}}).Increment();
  }
};

NodeMetrics::NodeMetrics() : state_(std::make_unique<State>()) {}
NodeMetrics::~NodeMetrics() = default;

void NodeMetrics::Loaded(std::string_view source, double seconds) {
  state_->loads.Add({{"source", std::string(source)}}).Increment();
  state_->seconds.Observe(seconds);
}

void NodeMetrics::Downloaded(uint64_t bytes) {
  state_->downloaded.Increment(static_cast<double>(bytes));
}

void NodeMetrics::Refused(const std::string& reason) { state_->Count(state_->refused, reason); }

void NodeMetrics::VerifyFailed(const std::string& reason) {
  state_->Count(state_->verify_failures, reason);
}

void NodeMetrics::Evicted() { state_->evictions.Increment(); }

void NodeMetrics::RegistryFailed(const std::string& reason) {
  state_->Count(state_->registry_errors, reason);
}

void NodeMetrics::Reported(bool ok) {
  state_->reports.Add({{"result", ok ? "ok" : "failed"}}).Increment();
}

std::string NodeMetrics::Text(const Gauges& gauges) {
  const auto set = [](prometheus::Gauge& gauge, uint64_t value) {
    gauge.Set(static_cast<double>(value));
  };
  set(state_->published, gauges.published);
  set(state_->retiring, gauges.retiring);
  set(state_->leases, gauges.leases);
  set(state_->wanted, gauges.wanted);
  set(state_->lagging, gauges.lagging);
  set(state_->memory_total, gauges.memory_total);
  set(state_->memory_used, gauges.memory_used);
  set(state_->device_total, gauges.device_total);
  set(state_->device_used, gauges.device_used);
  set(state_->device_free, gauges.device_free);
  set(state_->slots_used, gauges.slots_used);
  set(state_->slots_free, gauges.slots - gauges.slots_used);
  set(state_->guests, gauges.guests);
  set(state_->cache_bytes, gauges.cache_bytes);
  set(state_->swaps, gauges.swaps);
  set(state_->freed, gauges.freed);
  set(state_->reachable, gauges.registry_reachable ? 1 : 0);
  return prometheus::TextSerializer().Serialize(state_->registry.Collect());
}

}  // namespace signum::client
