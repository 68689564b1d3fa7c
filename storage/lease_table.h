#pragma once

#include <memory>
#include <string_view>

#include "storage/engine.h"

namespace signum {

// Leases of an engine that lives in one process: they end with it, so memory is durable enough.
// Thread-safe; leases may outlive the table.
class LeaseTable {
 public:
  LeaseTable();

  // As Engine::AcquireLease. The holder itself may acquire again: its earlier lease is lost then.
  Result<std::unique_ptr<EngineLease>> Acquire(std::string_view name, std::string_view holder,
                                               int64_t duration_micros);

  struct State;  // of the leases and the table: lease_table.cc

 private:
  std::shared_ptr<State> state_;
};

}  // namespace signum
