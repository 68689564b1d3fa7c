#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "client/node/arena.h"
#include "client/node/loader.h"
#include "client/node/node_options.h"
#include "client/node/residency.h"
#include "gpu/cuda_module.h"
#include "gpu/serve/device_image.h"

namespace signum::client {

struct DeviceOptions {
  std::string name = "cpu";   // as OpenBackend has it
  uint64_t memory_bytes = 0;  // of the device's, for deltas; 0: half of it
  uint64_t slots = 0;         // as NodeOptions::slots
  int threads = 0;            // of the CPU, for one step; 0: one a core
};

// A delta's file in a device's memory, verified there, until the last reference goes.
struct DeviceDelta {
  std::shared_ptr<const DeviceImage> image;
  std::shared_ptr<void> ready;  // the event after its copy (TransferOps); perhaps null
  int device = 0;               // its number
};

// Where a node computes. A device's calls come from one thread at a time, so that there are several
// backends on it: one that loads, by whoever holds loading(), and one for each engine. What they
// load and compute with is the same memory. On the CPU there is one backend for all. Thread-safe.
class ServingDevice {
 public:
  // Errc::kInvalid bad_device; kUnavailable no_cuda; kExhausted device_memory
  // where there are slots and no room for them.
  static Result<std::unique_ptr<ServingDevice>> Open(const DeviceOptions& options);

  const std::string& name() const { return name_; }
  bool on_host() const { return loader_->host_memory(); }
  // Held while loader() is called, unless on_host(). An error that an earlier holder has left is
  // forgotten.
  std::unique_lock<std::mutex> Loading();
  ops::Backend& loader() { return *loader_; }
  // One more backend of the same memory; null on the host, where loader() serves.
  Result<std::unique_ptr<ops::Backend>> OpenForEngine() const;
  // Not on the host. Any thread, but for what goes in order with loader()'s ops.
  ops::TransferOps& transfers() const { return *ops::TransferOpsOf(*loader_); }

  // For deltas; null on the host.
  const std::shared_ptr<MemoryBudget>& budget() const { return budget_; }
  ops::DeviceMemory Memory() const { return MemoryOf(*loader_); }
  // Has the node use the device, which outlives it.
  void SetUp(NodeOptions& node) const;

  // An error of too little memory with how much there is.
  Error Explained(Error error) const;
  // Whether the device has no room, perhaps for now.
  static bool NoRoom(const Error& error);

  // The generation's file in the device's memory, verified there; null on the host. Asks
  // `make_room` where there is no place for it. Errc::kExhausted "device_budget" (what is asked,
  // free and allowed), slots_full, device_memory; kCorrupt device_mismatch.
  Result<std::shared_ptr<const DeviceDelta>> Stage(const Generation& generation,
                                                   const Loader::MakeRoom& make_room);
  // Counts what was allocated for a delta beside its file, until the last reference goes; null on
  // the host. Errc::kExhausted "device_budget"; kTooLarge where it will never fit.
  Result<std::shared_ptr<void>> Charge(uint64_t file_bytes, uint64_t bytes,
                                       const Loader::MakeRoom& make_room);

 private:
  explicit ServingDevice(std::unique_ptr<ops::Backend> loader)
      : loader_(std::move(loader)), name_(loader_->name()) {}
  Result<std::shared_ptr<const DeviceDelta>> StageNow(const Generation& generation);

  const std::shared_ptr<ops::Backend> loader_;
  const std::string name_;
  std::mutex loading_;
  std::shared_ptr<MemoryBudget> budget_;
};

}  // namespace signum::client
