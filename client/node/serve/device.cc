#include "client/node/serve/device.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <thread>

namespace signum::client {
namespace {

constexpr uint64_t kGranule = 256;

class MemoryOfDevice final : public MemoryProvider {
 public:
  explicit MemoryOfDevice(std::shared_ptr<ops::Backend> backend) : backend_(std::move(backend)) {}

  Result<std::byte*> Map(uint64_t size, bool /*range*/) override {
    if (void* memory = backend_->Allocate(size)) return static_cast<std::byte*>(memory);
    return Fail(Errc::kExhausted, "device_memory",
                backend_->name() + " has no room for " + std::to_string(size) + " bytes of deltas");
  }
  void Unmap(std::byte* data, uint64_t /*size*/) override { backend_->Free(data); }
  void Clear(std::byte* /*data*/, uint64_t /*size*/) override {}
  uint64_t granule() const override { return kGranule; }
  std::string reason() const override { return "device_budget"; }
  std::string option() const override { return "--device-memory"; }

 private:
  std::shared_ptr<ops::Backend> backend_;
};

int ThreadsOf(const DeviceOptions& options) {
  if (options.threads > 0) return options.threads;
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

Result<std::unique_ptr<ServingDevice>> ServingDevice::Open(const DeviceOptions& options) {
  CpuReason why;
  BackendOptions backend_options;
  backend_options.serving_threads = ThreadsOf(options);
  SIGNUM_ASSIGN(auto backend, OpenBackend(options.name, backend_options, &why));
  if (!why.text.empty()) {
    spdlog::log(why.unexpected ? spdlog::level::warn : spdlog::level::info, "serving: {}",
                why.text);
  }
  std::unique_ptr<ServingDevice> device(new ServingDevice(std::move(backend)));
  if (device->on_host()) return device;
  const uint64_t half = device->Memory().total / 2;
  const uint64_t slots = options.slots > 0 ? options.slots + 1 : 0;
  device->budget_ =
      std::make_shared<MemoryBudget>(options.memory_bytes > 0 ? options.memory_bytes : half, slots,
                                     std::make_unique<MemoryOfDevice>(device->loader_));
  if (const auto reserved = device->budget_->Reserve(); !reserved) {
    return device->Explained(reserved.error());
  }
  return device;
}

std::unique_lock<std::mutex> ServingDevice::Loading() {
  if (on_host()) return {};
  std::unique_lock lock(loading_);
  loader_->TakeError();
  return lock;
}

Error ServingDevice::Explained(Error error) const {
  if (error.reason != "device_memory" || on_host()) return error;
  const ops::DeviceMemory memory = Memory();
  error.message += "; " + std::to_string(memory.free) + " of its " + std::to_string(memory.total) +
                   " bytes are free, " + std::to_string(budget_->used()) +
                   " hold deltas (--device-memory)";
  return error;
}

Result<std::unique_ptr<ops::Backend>> ServingDevice::OpenForEngine() const {
  if (on_host()) return std::unique_ptr<ops::Backend>();
  return OpenBackend(name_);
}

Result<std::shared_ptr<const DeviceImage>> ServingDevice::Stage(const Generation& generation) {
  if (on_host()) return std::shared_ptr<const DeviceImage>();
  const ConstBytes file = generation.arena->View();
  SIGNUM_ASSIGN(std::byte * place, budget_->Take(file.size()));
  const std::shared_ptr<std::byte> owner(
      place, [budget = budget_, size = file.size()](std::byte* data) { budget->Give(data, size); });
  return MakeDeviceImage(*loader_, file, place, owner, generation.chunks);
}

}  // namespace signum::client
