#pragma once

#include <functional>
#include <memory>

#include "client/live_model.h"
#include "client/node/arena.h"
#include "client/node/delta_cache.h"
#include "client/node/residency.h"
#include "client/node/trust.h"
#include "client/registry.h"
#include "storage/base/result.h"
#include "storage/format/manifest.h"

namespace signum::client {

// What a load did, for logs and metrics.
struct LoadReport {
  std::string_view source = "registry";  // or the cache, or host: the host's memory
  uint64_t bytes_downloaded = 0;
  std::string cache_damage;  // what was wrong with the bytes that the cache had, if anything
};

// How a delta is fetched: by several connections at once where it is large (download.h).
struct FetchOptions {
  int connections = 4;
  uint64_t parallel_from = uint64_t{64} << 20;
  uint64_t range_bytes = uint64_t{16} << 20;
  int verify_threads = 0;  // of one delta; 0: half of the cores, the others go on serving
};

// Brings one live entry into memory, believing nothing: the manifest must have the digest that
// `live` names, be signed by a trusted key and speak of this very version, delta and base; every 64
// KiB chunk is checked in the arena it will be used from; the delta must parse and name the same
// base. Thread-safe, but for one digest at a time.
class Loader {
 public:
  using Progress = std::function<void(GenerationState, uint64_t done)>;
  // Asked where there is no room in memory: frees something and returns true, or false.
  using MakeRoom = std::function<bool()>;

  Loader(DeltaCache& cache, std::shared_ptr<MemoryBudget> budget, Trust& trust,
         const FetchOptions& fetch = {})
      : cache_(cache), budget_(std::move(budget)), trust_(trust), fetch_(fetch) {}

  // Errors: the registry's; Errc::kCorrupt with a reason (chunk_mismatch, manifest_mismatch,
  // base_mismatch, unknown_key, bad_signature, …); kExhausted disk_full, and memory_budget or
  // slots_full, after which the delta is verified in the cache.
  Result<Generation> Load(Registry& registry, const LiveModel& live, const Progress& progress,
                          const MakeRoom& make_room, LoadReport& report);

 private:
  Result<Manifest> LoadManifest(Registry& registry, const LiveModel& live);
  Result<std::shared_ptr<Arena>> Fill(const ByteSource& file, const Manifest& manifest,
                                      const MakeRoom& make_room);
  Result<void> VerifyOnly(const ByteSource& file, const Manifest& manifest) const;
  Result<std::shared_ptr<Arena>> FromCache(const LiveModel& live, const Manifest& manifest,
                                           const MakeRoom& make_room);
  Result<std::shared_ptr<Arena>> Download(Registry& registry, const LiveModel& live,
                                          const Manifest& manifest, const Progress& progress,
                                          const MakeRoom& make_room, LoadReport& report);

  DeltaCache& cache_;
  std::shared_ptr<MemoryBudget> budget_;
  Trust& trust_;
  const FetchOptions fetch_;
};

}  // namespace signum::client
