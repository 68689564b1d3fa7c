#include "client/node/serve/device.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdlib>
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

// Pages of the host that the device copies from by itself, where it can.
class PageLockedMemory final : public MemoryProvider {
 public:
  explicit PageLockedMemory(std::shared_ptr<ops::Backend> backend)
      : backend_(std::move(backend)), transfers_(*ops::TransferOpsOf(*backend_)) {}

  Result<std::byte*> Map(uint64_t size, bool range) override {
    SIGNUM_ASSIGN(std::byte * data, pages_->Map(size, range));
    if (!transfers_.LockPages(data, size)) {
      std::call_once(warned_, [&] {
        spdlog::warn("{}: the host's memory can't be page-locked, copies take longer",
                     backend_->name());
      });
    }
    return data;
  }
  void Unmap(std::byte* data, uint64_t size) override {
    transfers_.UnlockPages(data);
    pages_->Unmap(data, size);
  }
  void Clear(std::byte* data, uint64_t size) override { pages_->Clear(data, size); }
  uint64_t granule() const override { return pages_->granule(); }
  std::string reason() const override { return pages_->reason(); }
  std::string option() const override { return pages_->option(); }

 private:
  const std::shared_ptr<ops::Backend> backend_;
  ops::TransferOps& transfers_;
  const std::unique_ptr<MemoryProvider> pages_ = MakeHostMemory();
  std::once_flag warned_;
};

int NumberOf(const std::string& device) {  // of "cuda:N"
  return std::atoi(device.c_str() + device.find(':') + 1);
}

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

void ServingDevice::SetUp(NodeOptions& node) const {
  node.device = name_;
  if (on_host()) return;
  node.device_budget = budget_;
  // A delta is used on the device: the host's places need no addresses that last.
  node.host_budget = std::make_shared<MemoryBudget>(node.memory_bytes, 0,
                                                    std::make_unique<PageLockedMemory>(loader_));
  node.device_memory = [this] {
    const ops::DeviceMemory memory = Memory();
    return std::pair(memory.total, memory.free);
  };
}

bool ServingDevice::NoRoom(const Error& error) {
  return error.reason == "device_budget" || error.reason == "device_memory" ||
         error.reason == "slots_full";
}

// ---- deltas

Result<std::shared_ptr<const DeviceDelta>> ServingDevice::StageNow(const Generation& generation) {
  const auto loading = Loading();
  const ConstBytes file = generation.arena->View();
  SIGNUM_ASSIGN(std::byte * place, budget_->Take(file.size()));
  const std::shared_ptr<std::byte> owner(
      place, [budget = budget_, size = file.size()](std::byte* data) { budget->Give(data, size); });
  auto delta = std::make_shared<DeviceDelta>();
  SIGNUM_ASSIGN(delta->image, MakeDeviceImage(*loader_, file, place, owner, generation.chunks));
  delta->device = NumberOf(name_);
  if (void* event = transfers().RecordEvent()) {
    delta->ready = {event, [backend = loader_](void* recorded) {
                      ops::TransferOpsOf(*backend)->DestroyEvent(recorded);
                    }};
  }
  return std::shared_ptr<const DeviceDelta>(std::move(delta));
}

// Room is made without Loading(): others may be loaded meanwhile.
Result<std::shared_ptr<const DeviceDelta>> ServingDevice::Stage(const Generation& generation,
                                                                const Loader::MakeRoom& make_room) {
  if (on_host()) return std::shared_ptr<const DeviceDelta>();
  auto staged = StageNow(generation);
  while (!staged && NoRoom(staged.error()) && budget_->Fits(generation.live.size) && make_room()) {
    staged = StageNow(generation);
  }
  return staged;
}

Result<std::shared_ptr<void>> ServingDevice::Charge(uint64_t file_bytes, uint64_t bytes,
                                                    const Loader::MakeRoom& make_room) {
  if (on_host()) return std::shared_ptr<void>();
  if (budget_->slots() == 0 && !budget_->Fits(file_bytes + bytes)) {
    return Fail(Errc::kTooLarge, "device_budget",
                "needs " + std::to_string(file_bytes) + " bytes and " + std::to_string(bytes) +
                    " beside them, " + std::to_string(budget_->total()) +
                    " are allowed (--device-memory)");
  }
  Result<void> charged = budget_->Charge(bytes);
  while (!charged && make_room()) charged = budget_->Charge(bytes);
  if (!charged) return charged.error();
  return std::shared_ptr<void>(this,
                               [budget = budget_, bytes](void*) { budget->Discharge(bytes); });
}

}  // namespace signum::client
