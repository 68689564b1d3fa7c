#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "client/node/loader.h"
#include "client/node/residency.h"
#include "client/registry.h"
#include "storage/base/result.h"

namespace signum::client {

struct NodeOptions {
  std::string name;
  std::string registry_url, token;
  ClientTls tls;
  std::vector<std::string> tenants;
  // Tenants beside those that are followed, for as long as they are used, because somebody has
  // asked for a model of theirs and the registry shows them to the node's token; 0: none.
  size_t max_guests = 0;
  std::chrono::milliseconds guest_idle{3'600'000};  // a guest that nobody asks for leaves after it
  std::string device = "cpu";
  uint64_t memory_bytes = 0;
  // Above 0: memory is divided into this many places and one more, where a new generation is loaded
  // beside those in use and a replaced one waits to be gone back to. Models beyond them are loaded
  // from the cache when somebody asks. 0: places as large as deltas are, as many as fit.
  uint64_t slots = 0;
  std::vector<std::string> pinned;  // tenant/model: never evicted
  std::filesystem::path cache_directory;
  uint64_t cache_bytes = 0;  // 0: no bound
  std::string trust_key;     // base64; empty: the registry's keys, pinned on first use
  int loaders = 2;           // deltas fetched at the same time
  FetchOptions fetch;        // how one is
  // Called by the thread that has loaded a generation, before it is published: makes it ready to
  // answer requests, which may take room on a device: then nothing but `device` is needed of its
  // bytes from then on. An error counts as the load's.
  std::function<Result<void>(Registry&, Generation&, const Loader::Progress&,
                             const Loader::MakeRoom&)>
      prepare;
  // Of a device that `prepare` puts deltas on; then `host_budget` is what they go through, and what
  // is evicted from the device stays there while there is room.
  std::shared_ptr<MemoryBudget> device_budget, host_budget;
  std::function<std::pair<uint64_t, uint64_t>()> device_memory;  // its own: total and free bytes
  // After a change of what is live, the fetch begins at a moment that is uniform in this window, so
  // that a fleet does not ask for the same bytes at once. What is here already waits for nothing.
  std::chrono::milliseconds fetch_window{0};
  std::chrono::seconds watch_wait{50};
  std::chrono::milliseconds report_interval{15'000};
  RetryPolicy load_retry{Millis{500}, Millis{30'000}, 5};   // of a delta that is refused
  std::chrono::milliseconds refused_retry{900'000};         // and of one that was given up
  RetryPolicy call_retry{Millis{200}, Millis{5'000}, 6};    // of one call of the registry
  RetryPolicy watch_retry{Millis{200}, Millis{10'000}, 0};  // of the feed, without end
};

// A connection to the node's registry.
std::unique_ptr<Registry> NewRegistry(const NodeOptions& options, const RetryPolicy& retry,
                                      const std::stop_token& stop);

}  // namespace signum::client
