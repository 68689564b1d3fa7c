#pragma once

#include "gpu/ops/backend.h"
#include "gpu/ops/paged_attention.h"
#include "gpu/ops/tenant_norm.h"

namespace signum::ops {

// Of a device with memory of its own, bytes; zeros where that is the host's.
struct DeviceMemory {
  uint64_t total = 0, free = 0;
};

// What serving needs beside Backend and DeltaOps, with their memory, order and errors: the cache of
// keys and values in blocks, norms of many models.
class ServeOps {
 public:
  virtual ~ServeOps() = default;

  virtual void PagedAttention(const PagedAttentionArgs& args) = 0;
  virtual void ScatterRows(const ScatterRowsArgs& args) = 0;
  virtual void ScatterColumns(const ScatterColumnsArgs& args) = 0;
  virtual void TenantNorm(const TenantNormArgs& args) = 0;
  virtual DeviceMemory Memory() const = 0;  // any thread
};

// The serving ops of `backend`, which owns them; null where it has none.
ServeOps* ServeOpsOf(Backend& backend);

}  // namespace signum::ops
