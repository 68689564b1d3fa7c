#include "client/node/serve/serving.h"

#include <spdlog/spdlog.h>

#include <nlohmann/json.hpp>

#include "storage/base/name.h"

namespace signum::client {
namespace {

constexpr uint64_t kMaxFileBytes = 64u << 20;

BaseWeights::Sources SourcesOf(const std::shared_ptr<const LocalCheckpoint>& base) {
  BaseWeights::Sources sources;
  sources.checkpoint = base->checkpoint();
  sources.config_json = base->checkpoint()->config_json();
  sources.digest = base->base_digest();
  sources.blobs = base->blobs();
  sources.file = [base](std::string_view path) -> Result<std::string> {
    for (const CheckpointFile& file : base->checkpoint()->files()) {
      if (file.path == path) return ReadAll(*file.bytes, kMaxFileBytes);
    }
    return Fail(Errc::kNotFound, "unknown_file", "no file '" + Printable(path) + "'");
  };
  return sources;
}

bool WorthAnotherTry(const Error& error) {
  return error.code == Errc::kUnavailable || error.code == Errc::kCancelled ||
         error.reason == "disk_full";
}

}  // namespace

Result<std::unique_ptr<Serving>> Serving::Create(ServingOptions options,
                                                 const std::filesystem::path& cache_directory) {
  SIGNUM_ASSIGN(auto device, ServingDevice::Open(options.device));
  return std::unique_ptr<Serving>(
      new Serving(std::move(options), std::move(device), cache_directory));
}

Serving::Serving(ServingOptions options, std::unique_ptr<ServingDevice> device,
                 const std::filesystem::path& cache_directory)
    : options_(std::move(options)),
      device_(std::move(device)),
      store_(cache_directory / "bases", options_.bases) {}

Serving::~Serving() { Stop(); }

void Serving::Stop() {
  const std::lock_guard lock(mutex_);
  for (const auto& [digest, base] : bases_) base->scheduler->Stop();
}

Result<std::unique_ptr<ServeEngine>> Serving::MakeEngine(std::shared_ptr<const BaseWeights> weights,
                                                         ops::Backend& backend) const {
  ServeEngineOptions engine;
  engine.step_rows = options_.step_rows;
  const uint64_t block = ServeEngine::CacheBytesPerToken(weights->config()) *
                         static_cast<uint64_t>(engine.block_tokens);
  engine.blocks = static_cast<int64_t>(options_.kv_bytes / block);
  if (engine.blocks == 0) {
    return Fail(Errc::kExhausted, "cache_too_small",
                "a block of the cache takes " + std::to_string(block) + " bytes, --kv-cache is " +
                    std::to_string(options_.kv_bytes));
  }
  return ServeEngine::Create(std::move(weights), engine, backend);
}

Result<std::unique_ptr<Serving::Base>> Serving::OpenBase(
    std::shared_ptr<const LocalCheckpoint> checkpoint, const std::string& name,
    const Digest& digest) {
  auto base = std::make_unique<Base>();
  base->name = name;
  base->checkpoint = std::move(checkpoint);
  const auto loading = device_->Loading();
  SIGNUM_ASSIGN(base->backend, device_->OpenForEngine());
  ops::Backend& loader = device_->loader();
  SIGNUM_ASSIGN(base->weights, BaseWeights::Open(loader, SourcesOf(base->checkpoint)));
  SIGNUM_ASSIGN(auto engine,
                MakeEngine(base->weights, device_->on_host() ? loader : *base->backend));
  base->scheduler =
      std::make_unique<Scheduler>(std::move(engine), options_.scheduler, metrics_.ForBase(name));
  SIGNUM_ASSIGN(auto weights, TenantWeights::OfBase(base->weights));
  SIGNUM_ASSIGN(auto model, MakeServedModel(std::move(weights)));
  model->name = name;
  model->fingerprint = digest.Text();
  model->scheduler = base->scheduler.get();
  base->model = std::move(model);
  return base;
}

const Serving::Base* Serving::Loaded(const Digest& digest) const {
  const std::lock_guard lock(mutex_);
  const auto found = bases_.find(digest);
  return found == bases_.end() ? nullptr : found->second.get();
}

// Looks before it waits for another base that is on its way.
Result<const Serving::Base*> Serving::LoadBase(Registry& registry, const std::string& name,
                                               const Digest& digest, bool& here) {
  if (const Base* loaded = Loaded(digest)) return loaded;
  const std::lock_guard loading(loading_);
  if (const Base* loaded = Loaded(digest)) return loaded;
  here = false;
  SIGNUM_ASSIGN(auto checkpoint, store_.Obtain(registry, name, digest));
  here = true;
  SIGNUM_ASSIGN(auto base, OpenBase(std::move(checkpoint), name, digest));
  const Base* opened = base.get();
  spdlog::info("base {}: loaded, {} cache blocks", name,
               base->scheduler->engine().options().blocks);
  const std::lock_guard lock(mutex_);
  bases_.emplace(digest, std::move(base));
  return opened;
}

// ---- generations

// Room is made without Loading(), as in ServingDevice::Stage.
Result<std::shared_ptr<TenantWeights>> Serving::OpenWeights(const Base& base,
                                                            const Generation& generation,
                                                            const Loader::MakeRoom& make_room) {
  const auto open = [&] {
    const auto loading = device_->Loading();
    return TenantWeights::Open(base.weights, generation.delta,
                               device_->on_host() ? nullptr : generation.device->image);
  };
  auto opened = open();
  while (!opened && !device_->on_host() && ServingDevice::NoRoom(opened.error()) && make_room()) {
    opened = open();
  }
  return opened;
}

Result<std::shared_ptr<const ServedModel>> Serving::MakeModel(const Base& base,
                                                              Generation& generation,
                                                              const Loader::MakeRoom& make_room) {
  const LiveModel& live = generation.live;
  uint64_t expected = 0;
  if (!device_->on_host()) {
    SIGNUM_ASSIGN(expected,
                  TenantWeights::ExpectedDeviceBytes(*base.model->weights, *generation.delta));
  }
  // All room is asked for before anything is copied, but for what shows only then.
  SIGNUM_ASSIGN(auto charge, device_->Charge(live.size, expected, make_room));
  SIGNUM_ASSIGN(generation.device, device_->Stage(generation, make_room));
  SIGNUM_ASSIGN(const auto weights, OpenWeights(base, generation, make_room));
  SIGNUM_ASSIGN(auto model, MakeServedModel(weights));
  const uint64_t needed = weights->device_bytes();
  if (needed > expected) {
    charge.reset();
    SIGNUM_ASSIGN(charge, device_->Charge(live.size, needed, make_room));
  }
  model->charge = std::move(charge);
  if (!device_->on_host()) weights->LeaveHost();
  model->name = live.Name();
  model->fingerprint = live.digest.Text();
  model->scheduler = base.scheduler.get();
  return std::shared_ptr<const ServedModel>(std::move(model));
}

Result<void> Serving::Prepare(Registry& registry, Generation& generation,
                              const Loader::Progress& progress, const Loader::MakeRoom& make_room) {
  const LiveModel& live = generation.live;
  bool base_here = true;
  const auto prepare = [&]() -> Result<std::shared_ptr<const ServedModel>> {
    SIGNUM_ASSIGN(const Base* base, LoadBase(registry, live.base, live.base_digest, base_here));
    if (!device_->on_host()) progress(GenerationState::kStaging, live.size);
    return MakeModel(*base, generation, make_room);
  };
  auto model = prepare();
  if (model) {
    generation.served = *std::move(model);
    return {};
  }
  generation.device.reset();
  // Then the load has failed, and so it has without the base; else the model is here and can't be
  // served.
  const bool on_device = !device_->on_host() && (ServingDevice::NoRoom(model.error()) ||
                                                 model.error().reason == "device_mismatch");
  if (on_device || !base_here || WorthAnotherTry(model.error())) {
    return device_->Explained(model.error());
  }
  spdlog::warn("{}@{} is resident but can't be served: {} ({})", live.Name(), live.version,
               model.error().message, model.error().reason);
  generation.not_served = model.error();
  return {};
}

Result<std::shared_ptr<const ServedModel>> Serving::FindBase(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [digest, base] : bases_) {
    if (base->name == name) return base->model;
  }
  return Fail(Errc::kNotFound, "unknown_model",
              "no model '" + Printable(name) + "' is served here");
}

std::vector<Serving::BaseStats> Serving::stats() const {
  const std::lock_guard lock(mutex_);
  std::vector<BaseStats> out;
  for (const auto& [digest, base] : bases_) out.push_back({base->name, base->scheduler->stats()});
  return out;
}

std::string Serving::FailedBecause() const {
  for (const BaseStats& base : stats()) {
    if (base.scheduler.failed) {
      return device_->name() + " has failed while it computed for base " + base.name +
             ": the node must be started again";
    }
  }
  return "";
}

nlohmann::json Serving::StatsDocument() const {
  nlohmann::json out = nlohmann::json::array();
  for (const BaseStats& base : stats()) {
    const EngineStats& s = base.scheduler;
    out.push_back({{"base", base.name},
                   {"running", s.running},
                   {"queued", s.queued},
                   {"finished", s.finished},
                   {"cancelled", s.cancelled},
                   {"steps", s.steps},
                   {"rows", s.rows},
                   {"tokens", s.tokens},
                   {"prefix_tokens", s.prefix_tokens},
                   {"preempted", s.preempted},
                   {"blocks", s.blocks},
                   {"blocks_used", s.blocks_used}});
  }
  return out;
}

}  // namespace signum::client
