#include "client/node/serve/engine_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace signum::client {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;
using Buckets = Histogram::BucketBoundaries;

const Buckets kGaps = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5};
const Buckets kWaits = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120};
const Buckets kRequests = {0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600};

const char* EndName(RequestEnd end) {
  switch (end) {
    case RequestEnd::kStop:
      return "stop";
    case RequestEnd::kLength:
      return "length";
    case RequestEnd::kCancelled:
      return "cancelled";
    case RequestEnd::kFailed:
      break;
  }
  return "failed";
}

void Grow(Counter& counter, uint64_t before, uint64_t now) {
  counter.Increment(static_cast<double>(now - before));
}

}  // namespace

struct EngineMetrics::Series {
  Gauge &running, &waiting, &blocks_used, &blocks_free;
  Counter &prompt_tokens, &tokens, &prefix_tokens, &preemptions, &steps;
  Histogram &first_token, &next_token, &request;
  Counter *stop, *length, *failed, *cancelled;
};

struct ServingMetrics::State {
  Family<Counter>& Counters(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
  }
  Family<Gauge>& Gauges(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
  }
  Family<Histogram>& Histograms(const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
  }

  prometheus::Registry registry;
  Family<Counter>& http = Counters("signum_http_requests_total", "Requests by route and status");
  Family<Gauge>& running =
      Gauges("signum_engine_requests_running", "Requests that are being computed");
  Family<Gauge>& waiting =
      Gauges("signum_engine_requests_waiting", "Requests that wait for a place or for blocks");
  Family<Gauge>& blocks =
      Gauges("signum_engine_kv_blocks", "Blocks of the cache of keys and values");
  Family<Counter>& requests =
      Counters("signum_engine_requests_total", "Requests that ended, by how they did");
  Family<Counter>& prompt_tokens =
      Counters("signum_engine_prompt_tokens_total", "Tokens of prompts that were taken in");
  Family<Counter>& tokens = Counters("signum_engine_generation_tokens_total", "Tokens drawn");
  Family<Counter>& prefix_tokens = Counters("signum_engine_prefix_hit_tokens_total",
                                            "Tokens of prompts that were found in the cache");
  Family<Counter>& preemptions =
      Counters("signum_engine_preemptions_total", "Requests that gave their blocks to older ones");
  Family<Counter>& steps = Counters("signum_engine_steps_total", "Passes over the base");
  Family<Histogram>& first_token =
      Histograms("signum_engine_time_to_first_token_seconds", "From a request to its first token");
  Family<Histogram>& next_token =
      Histograms("signum_engine_inter_token_seconds", "Between two tokens of a request");
  Family<Histogram>& request =
      Histograms("signum_engine_request_seconds", "From a request to its last token");
};

EngineMetrics::EngineMetrics(std::unique_ptr<Series> series) : series_(std::move(series)) {}
EngineMetrics::~EngineMetrics() = default;

void EngineMetrics::Publish(const EngineStats& stats) {
  Series& to = *series_;
  to.running.Set(static_cast<double>(stats.running));
  to.waiting.Set(static_cast<double>(stats.queued));
  to.blocks_used.Set(static_cast<double>(stats.blocks_used));
  to.blocks_free.Set(static_cast<double>(stats.blocks - stats.blocks_used));
  Grow(to.prompt_tokens, published_.prompt_tokens, stats.prompt_tokens);
  Grow(to.tokens, published_.tokens, stats.tokens);
  Grow(to.prefix_tokens, published_.prefix_tokens, stats.prefix_tokens);
  Grow(to.preemptions, published_.preempted, stats.preempted);
  Grow(to.steps, published_.steps, stats.steps);
  published_ = stats;
}

void EngineMetrics::FirstToken(double seconds) { series_->first_token.Observe(seconds); }
void EngineMetrics::NextToken(double seconds) { series_->next_token.Observe(seconds); }

void EngineMetrics::Ended(RequestEnd end, double seconds) {
  const Series& to = *series_;
  Counter* const counters[] = {to.stop, to.length, to.failed, to.cancelled};
  counters[static_cast<size_t>(end)]->Increment();
  to.request.Observe(seconds);
}

ServingMetrics::ServingMetrics() : state_(std::make_unique<State>()) {}
ServingMetrics::~ServingMetrics() = default;

void ServingMetrics::Observe(const http::AccessRecord& record) {
  const std::string route(record.route.empty() ? "unmatched" : record.route);
  state_->http.Add({{"route", route}, {"status", std::to_string(record.status)}}).Increment();
}

std::shared_ptr<EngineMetrics> ServingMetrics::ForBase(const std::string& base) {
  State& s = *state_;
  const auto ends = [&](RequestEnd end) {
    return &s.requests.Add({{"base", base}, {"finish", EndName(end)}});
  };
  return std::make_shared<EngineMetrics>(
      std::unique_ptr<EngineMetrics::Series>(new EngineMetrics::Series{
          s.running.Add({{"base", base}}), s.waiting.Add({{"base", base}}),
          s.blocks.Add({{"base", base}, {"state", "used"}}),
          s.blocks.Add({{"base", base}, {"state", "free"}}), s.prompt_tokens.Add({{"base", base}}),
          s.tokens.Add({{"base", base}}), s.prefix_tokens.Add({{"base", base}}),
          s.preemptions.Add({{"base", base}}), s.steps.Add({{"base", base}}),
          s.first_token.Add({{"base", base}}, kWaits), s.next_token.Add({{"base", base}}, kGaps),
          s.request.Add({{"base", base}}, kRequests), ends(RequestEnd::kStop),
          ends(RequestEnd::kLength), ends(RequestEnd::kFailed), ends(RequestEnd::kCancelled)}));
}

std::string ServingMetrics::Text() const {
  return prometheus::TextSerializer().Serialize(state_->registry.Collect());
}

}  // namespace signum::client
