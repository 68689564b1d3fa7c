#include "gpu/ops/serve_ops.h"

namespace signum::ops {
namespace {

class CpuServeOps final : public ServeOps {
 public:
  void PagedAttention(const PagedAttentionArgs& args) override { ops::PagedAttention(args); }
  void ScatterRows(const ScatterRowsArgs& args) override { ops::ScatterRows(args); }
  void ScatterColumns(const ScatterColumnsArgs& args) override { ops::ScatterColumns(args); }
  void TenantNorm(const TenantNormArgs& args) override { ops::TenantNorm(args); }
  DeviceMemory Memory() const override { return {}; }
};

}  // namespace

// A backend of a module implements both where it can; the CPU's serving ops have no state to own.
ServeOps* ServeOpsOf(Backend& backend) {
  if (auto* own = dynamic_cast<ServeOps*>(&backend)) return own;
  static CpuServeOps cpu;
  return backend.host_memory() ? &cpu : nullptr;
}

}  // namespace signum::ops
