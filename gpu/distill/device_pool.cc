#include "gpu/distill/device_pool.h"

namespace signum {

Result<std::unique_ptr<Device>> DevicePool::Take(const std::string& name,
                                                 const BackendOptions& options,
                                                 CpuReason* why_cpu) {
  {
    const std::lock_guard lock(mutex_);
    if (device_ != nullptr && name_ == name && options_ == options) {
      *why_cpu = {};
      return std::move(device_);
    }
  }
  SIGNUM_ASSIGN(auto backend, OpenBackendOrCpu(name, options, why_cpu));
  return std::make_unique<Device>(std::move(backend));
}

void DevicePool::Put(std::string name, const BackendOptions& options,
                     std::unique_ptr<Device> device) {
  if (device->backend().host_memory()) return;
  std::unique_ptr<Device> old;  // closed after the lock
  const std::lock_guard lock(mutex_);
  old = std::exchange(device_, std::move(device));
  name_ = std::move(name);
  options_ = options;
  since_ = Clock::now();
}

void DevicePool::CloseIdle(Clock::duration idle) {
  std::unique_ptr<Device> closed;
  const std::lock_guard lock(mutex_);
  if (device_ != nullptr && Clock::now() - since_ >= idle) closed = std::move(device_);
}

}  // namespace signum
