#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <shared_mutex>
#include <tuple>

namespace signum {
namespace {

using prometheus::Family;

// Seconds: from an answer out of memory to a big delta over a slow line.
const prometheus::Histogram::BucketBoundaries kDurations = {
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60};

// What CountRefusal counts.
constexpr std::array<std::string_view, 6> kRefusals = {"disk_full",         "quota_exceeded",
                                                       "rate_limited",      "read_only",
                                                       "too_many_failures", "too_many_jobs"};

// A method of the caller's own making must not become a label.
std::string_view MethodLabel(std::string_view method) {
  constexpr std::array<std::string_view, 7> kKnown = {"GET",   "HEAD",   "POST",   "PUT",
                                                      "PATCH", "DELETE", "OPTIONS"};
  const auto found = std::find(kKnown.begin(), kKnown.end(), method);
  return found == kKnown.end() ? "other" : *found;
}

}  // namespace

struct Metrics::State {
  prometheus::Registry registry;
  Family<prometheus::Counter>& requests = prometheus::BuildCounter()
                                              .Name("signum_http_requests_total")
                                              .Help("Requests by route, method and status")
                                              .Register(registry);
  Family<prometheus::Histogram>& durations =
      prometheus::BuildHistogram()
          .Name("signum_http_request_seconds")
          .Help("From the last byte of the header to the last byte of the answer")
          .Register(registry);
  Family<prometheus::Counter>& bytes = prometheus::BuildCounter()
                                           .Name("signum_http_bytes_total")
                                           .Help("Bytes of bodies, in from and out to clients")
                                           .Register(registry);
  prometheus::Counter& bytes_in = bytes.Add({{"direction", "in"}});
  prometheus::Counter& bytes_out = bytes.Add({{"direction", "out"}});
  Family<prometheus::Gauge>& jobs =
      prometheus::BuildGauge().Name("signum_jobs").Help("Jobs by state").Register(registry);
  Family<prometheus::Gauge>& store = prometheus::BuildGauge()
                                         .Name("signum_store_bytes")
                                         .Help("Bytes on disk, by kind")
                                         .Register(registry);
  Family<prometheus::Counter>& maintenance =
      prometheus::BuildCounter()
          .Name("signum_maintenance_jobs_total")
          .Help("Ended jobs of the store itself, by kind and state")
          .Register(registry);
  Family<prometheus::Gauge>& maintained =
      prometheus::BuildGauge()
          .Name("signum_maintenance_last_done_seconds")
          .Help("When a job of that kind was last done, Unix time")
          .Register(registry);
  prometheus::Counter& collected = prometheus::BuildCounter()
                                       .Name("signum_collected_bytes_total")
                                       .Help("Bytes of objects that garbage collection removed")
                                       .Register(registry)
                                       .Add({});
  Family<prometheus::Counter>& refusals =
      prometheus::BuildCounter()
          .Name("signum_refusals_total")
          .Help("Requests refused for want of quota, rate or room, or in read-only mode")
          .Register(registry);
  prometheus::Gauge& disk_free = Single("signum_disk_free_bytes", "Free on the disk of the data");
  prometheus::Gauge& disk_kept =
      Single("signum_disk_kept_bytes", "What is kept free: below it uploads and jobs wait");
  prometheus::Gauge& read_only = Single("signum_read_only", "1 in read-only mode");
  prometheus::Gauge& damaged = Single("signum_damaged_objects", "Objects in quarantine");
  prometheus::Gauge& connections = Single("signum_http_connections", "Open connections");
  prometheus::Gauge& uploads = Single("signum_uploads", "Uploads staged or being written");
  prometheus::Gauge& feed_seq = Single("signum_feed_seq", "Number of the newest feed entry");
  prometheus::Gauge& watchers = Single("signum_watchers", "Requests that wait on the feed");
  std::atomic<uint64_t> watching = 0;

  struct Series {
    prometheus::Counter* requests;
    prometheus::Histogram* durations;
  };
  using Key = std::tuple<std::string, std::string, int>;
  using KeyView = std::tuple<std::string_view, std::string_view, int>;
  // Compares keys and views; a tuple of strings and one of views have no order of their own.
  struct Before {
    using is_transparent = void;
    bool operator()(const KeyView& a, const KeyView& b) const { return a < b; }
  };
  // Family::Add builds and hashes a map of labels; a request looks its series up here instead.
  std::shared_mutex mutex;
  std::map<Key, Series, Before> series;

  prometheus::Gauge& Single(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
  }

  Series Find(const KeyView& key) {
    {
      const std::shared_lock lock(mutex);
      if (const auto found = series.find(key); found != series.end()) return found->second;
    }
    const auto& [route, method, status] = key;
    const std::string route_label(route), method_label(method);
    const Series added{
        &requests.Add(
            {{"route", route_label}, {"method", method_label}, {"status", std::to_string(status)}}),
        &durations.Add({{"route", route_label}, {"method", method_label}}, kDurations)};
    const std::unique_lock lock(mutex);
    return series.emplace(Key(route_label, method_label, status), added).first->second;
  }
};

Metrics::Metrics() : state_(std::make_unique<State>()) {
  for (const std::string_view code : kRefusals) {  // from 0, so that the first one is an increase
    state_->refusals.Add({{"reason", std::string(code)}});
  }
}
Metrics::~Metrics() = default;

void Metrics::Observe(const http::AccessRecord& record) {
  const std::string_view route = record.route.empty() ? "unmatched" : record.route;
  const auto series = state_->Find({route, MethodLabel(record.request.method), record.status});
  series.requests->Increment();
  series.durations->Observe(std::chrono::duration<double>(record.duration).count());
  state_->bytes_in.Increment(static_cast<double>(record.bytes_in));
  state_->bytes_out.Increment(static_cast<double>(record.bytes_out));
}

void Metrics::CountMaintenance(const std::string& kind, std::string_view state, UnixMicros now) {
  state_->maintenance.Add({{"kind", kind}, {"state", std::string(state)}}).Increment();
  if (state != "done") return;
  state_->maintained.Add({{"kind", kind}}).Set(static_cast<double>(now) / 1e6);
}

void Metrics::CountCollected(uint64_t bytes) {
  state_->collected.Increment(static_cast<double>(bytes));
}

void Metrics::CountRefusal(std::string_view code) {
  if (std::find(kRefusals.begin(), kRefusals.end(), code) == kRefusals.end()) return;
  state_->refusals.Add({{"reason", std::string(code)}}).Increment();
}

std::shared_ptr<void> Metrics::CountWatcher() {
  std::atomic<uint64_t>& watching = state_->watching;
  ++watching;
  return {&watching, [](std::atomic<uint64_t>* count) { --*count; }};
}

uint64_t Metrics::watchers() const { return state_->watching; }

std::string Metrics::Text(const Gauges& gauges) {
  state_->connections.Set(static_cast<double>(gauges.connections));
  state_->uploads.Set(static_cast<double>(gauges.uploads));
  state_->damaged.Set(static_cast<double>(gauges.damaged));
  state_->disk_free.Set(static_cast<double>(gauges.disk_free));
  state_->disk_kept.Set(static_cast<double>(gauges.disk_kept));
  state_->read_only.Set(gauges.read_only ? 1 : 0);
  state_->feed_seq.Set(static_cast<double>(gauges.feed_seq));
  state_->watchers.Set(static_cast<double>(watchers()));
  state_->store.Add({{"kind", "blob"}}).Set(static_cast<double>(gauges.blob_bytes));
  state_->store.Add({{"kind", "metadata"}}).Set(static_cast<double>(gauges.metadata_bytes));
  for (const auto& [name, count] : gauges.jobs) {
    state_->jobs.Add({{"state", name}}).Set(static_cast<double>(count));
  }
  return prometheus::TextSerializer().Serialize(state_->registry.Collect());
}

}  // namespace signum
