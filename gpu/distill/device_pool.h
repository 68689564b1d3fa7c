#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "gpu/cuda_module.h"
#include "gpu/distill/kept_base.h"

namespace signum {

// A backend, and what of a base stays in its memory.
class Device {
 public:
  explicit Device(std::unique_ptr<ops::Backend> backend)
      : backend_(std::move(backend)), kept_(*backend_) {}

  ops::Backend& backend() { return *backend_; }
  KeptBase& kept() { return kept_; }

 private:
  const std::unique_ptr<ops::Backend> backend_;
  KeptBase kept_;
};

// The device of a process' jobs, open from one job to the next. Thread-safe; who has taken a device
// has it alone, and jobs beside that one open their own.
class DevicePool {
 public:
  using Clock = std::chrono::steady_clock;

  // The device that was put back by the same name and options, or a new one: errors and `why_cpu`
  // as OpenBackendOrCpu.
  Result<std::unique_ptr<Device>> Take(const std::string& name, const BackendOptions& options,
                                       CpuReason* why_cpu);
  // For the next one who takes it by this name and these options; the last is kept. The CPU is not:
  // it keeps nothing.
  void Put(std::string name, const BackendOptions& options, std::unique_ptr<Device> device);
  // Closes a device that has lain here for so long, so that its memory serves others.
  void CloseIdle(Clock::duration idle);

 private:
  std::mutex mutex_;
  std::string name_;
  BackendOptions options_;
  std::unique_ptr<Device> device_;
  Clock::time_point since_;
};

}  // namespace signum
