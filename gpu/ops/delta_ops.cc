#include "gpu/ops/delta_ops.h"

namespace signum::ops {
namespace {

class CpuDeltaOps final : public DeltaOps {
 public:
  void SignPack(const SignPackArgs& args) override { ops::SignPack(args); }
  void Reconstruct(const ReconstructArgs& args) override { ops::Reconstruct(args); }
  void SignProduct(const SignProductArgs& args) override { ops::SignProduct(args); }
  void TenantProduct(const TenantProductArgs& args) override { ops::TenantProduct(args); }
  void ChunkDigests(const ChunkDigestArgs& args) override { ops::ChunkDigests(args); }
  bool StageUpload(void* device, size_t bytes, const FillStage& fill) override {
    return bytes == 0 || fill(0, device, bytes);
  }
};

}  // namespace

// A backend of a module implements both; the CPU's delta ops have no state to own.
DeltaOps& DeltaOpsOf(Backend& backend) {
  if (auto* own = dynamic_cast<DeltaOps*>(&backend)) return *own;
  static CpuDeltaOps cpu;
  return cpu;
}

}  // namespace signum::ops
