#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "client/node/loader.h"
#include "client/node/residency.h"
#include "client/node/serve/base_store.h"
#include "client/node/serve/device.h"
#include "client/node/serve/scheduler.h"
#include "client/node/serve/served_model.h"

namespace signum::client {

struct ServingOptions {
  std::vector<std::filesystem::path> bases;  // local folders
  uint64_t kv_bytes = uint64_t{1} << 30;     // of each base's cache of keys and values
  int64_t step_rows = 256;
  SchedulerOptions scheduler;
  DeviceOptions device;
};

// The models that a node answers with: each base once, with its engine and scheduler, and beside it
// the generations of its tenants. Bases are loaded when the first of their deltas is, by the thread
// that loads it. Thread-safe.
class Serving {
 public:
  // Errors of ServingDevice::Open.
  static Result<std::unique_ptr<Serving>> Create(ServingOptions options,
                                                 const std::filesystem::path& cache_directory);
  ~Serving();
  Serving(const Serving&) = delete;
  Serving& operator=(const Serving&) = delete;

  // Makes a loaded generation ready to answer: sets `served`, or says why it can't in `not_served`.
  // On a device it puts its file there, and asks `make_room` where there is no place for it. An
  // error leaves it unready: where it is worth trying again (registry or disk away), or the device
  // has no room or not the bytes that were signed.
  Result<void> Prepare(Registry& registry, Generation& generation, const Loader::Progress& progress,
                       const Loader::MakeRoom& make_room);

  const ServingDevice& device() const { return *device_; }

  // The base itself, served under its name. Errc::kNotFound unknown_model.
  Result<std::shared_ptr<const ServedModel>> FindBase(const std::string& name) const;

  // Ends all requests; new ones are refused.
  void Stop();

  struct BaseStats {
    std::string name;
    EngineStats scheduler;
  };
  std::vector<BaseStats> stats() const;
  // Which device is of no use any more, and why; empty as long as none is.
  std::string FailedBecause() const;
  // For all requests that are answered, engines or not.
  ServingMetrics& metrics() { return metrics_; }
  std::string MetricsText() const { return metrics_.Text(); }
  // The same for GET /v1/residency.
  nlohmann::json StatsDocument() const;

 private:
  // A base with all that runs on it.
  struct Base {
    std::string name;
    std::shared_ptr<const LocalCheckpoint> checkpoint;
    std::unique_ptr<ops::Backend> backend;  // the engine's own; null on the host
    std::shared_ptr<const BaseWeights> weights;
    std::unique_ptr<Scheduler> scheduler;
    std::shared_ptr<const ServedModel> model;
  };
  Serving(ServingOptions options, std::unique_ptr<ServingDevice> device,
          const std::filesystem::path& cache_directory);
  const Base* Loaded(const Digest& digest) const;
  // `here`: whether the base could be had, whatever became of it then.
  Result<const Base*> LoadBase(Registry& registry, const std::string& name, const Digest& digest,
                               bool& here);
  Result<std::unique_ptr<Base>> OpenBase(std::shared_ptr<const LocalCheckpoint> checkpoint,
                                         const std::string& name, const Digest& digest);
  Result<std::unique_ptr<ServeEngine>> MakeEngine(std::shared_ptr<const BaseWeights> weights,
                                                  ops::Backend& backend) const;
  Result<std::shared_ptr<TenantWeights>> OpenWeights(const Base& base, const Generation& generation,
                                                     const Loader::MakeRoom& make_room);
  Result<std::shared_ptr<const ServedModel>> MakeModel(const Base& base, Generation& generation,
                                                       const Loader::MakeRoom& make_room);

  const ServingOptions options_;
  const std::unique_ptr<ServingDevice> device_;
  ServingMetrics metrics_;
  std::mutex loading_;  // held while a base is fetched and opened
  BaseStore store_;
  mutable std::mutex mutex_;
  std::map<Digest, std::unique_ptr<Base>> bases_;  // only grows
};

}  // namespace signum::client
