#include <cstdlib>
#include <cstring>

#include "gpu/ops/backend.h"
#include "gpu/ops/crew.h"
#include "gpu/ops/delta_ops.h"
#include "gpu/ops/serve_ops.h"

namespace signum::ops {
namespace {

constexpr size_t kAlignment = 256;

class CpuBackend final : public Backend, public DeltaOps, public ServeOps {
 public:
  CpuBackend(MatMulPrecision precision, int serving_threads)
      : precision_(precision),
        crew_(serving_threads > 1 ? std::make_unique<Crew>(serving_threads) : nullptr) {}

  std::string name() const override { return "cpu"; }
  bool host_memory() const override { return true; }
  bool concurrent() const override { return true; }

  void* Allocate(size_t bytes) override {
    return std::aligned_alloc(kAlignment, (bytes + kAlignment - 1) / kAlignment * kAlignment);
  }
  void Free(void* memory) noexcept override { std::free(memory); }
  // No bytes may come with a null pointer, which memcpy forbids.
  void Upload(const void* host, void* device, size_t bytes) override {
    if (bytes > 0) std::memcpy(device, host, bytes);
  }
  void Download(const void* device, void* host, size_t bytes) override {
    if (bytes > 0) std::memcpy(host, device, bytes);
  }
  void Zero(void* device, size_t bytes) override {
    if (bytes > 0) std::memset(device, 0, bytes);
  }
  std::string TakeError() override { return {}; }

  void MatMul(const MatMulArgs& args) override { ops::MatMul(args, precision_); }
  void RmsNorm(const RmsNormArgs& args) override { ops::RmsNorm(args); }
  void RmsNormBackward(const RmsNormBackwardArgs& args) override { ops::RmsNormBackward(args); }
  void Rope(const RopeArgs& args) override { ops::Rope(args); }
  void Attention(const AttentionArgs& args) override { ops::Attention(args); }
  void AttentionBackward(const AttentionBackwardArgs& args) override {
    ops::AttentionBackward(args);
  }
  void DecodeAttention(const DecodeAttentionArgs& args) override { ops::DecodeAttention(args); }
  void Swiglu(const SwigluArgs& args) override { ops::Swiglu(args); }
  void SwigluBackward(const SwigluBackwardArgs& args) override { ops::SwigluBackward(args); }
  void Add(const AddArgs& args) override { ops::Add(args); }
  void AddBias(const AddBiasArgs& args) override { ops::AddBias(args); }
  void CopyRows(const CopyRowsArgs& args) override { ops::CopyRows(args); }
  void CopyColumns(const CopyColumnsArgs& args) override { ops::CopyColumns(args); }
  void GatherRows(const GatherRowsArgs& args) override { ops::GatherRows(args); }
  void LossAndGrad(const LossArgs& args) override { ops::LossAndGrad(args); }
  void CompareLogits(const FidelityArgs& args) override { ops::CompareLogits(args); }
  void NegativeLogLikelihood(const NllArgs& args) override { ops::NegativeLogLikelihood(args); }
  void Sample(const SampleArgs& args) override { ops::Sample(args); }
  void Materialize(const MaterializeArgs& args) override { ops::Materialize(args); }
  void SignGrad(const SignGradArgs& args) override { ops::SignGrad(args); }
  void Adamw(const AdamwArgs& args) override { ops::Adamw(args); }

  void SignPack(const SignPackArgs& args) override { ops::SignPack(args); }
  void Reconstruct(const ReconstructArgs& args) override { ops::Reconstruct(args); }
  void SignProduct(const SignProductArgs& args) override { ops::SignProduct(args); }
  void TenantProduct(const TenantProductArgs& args) override {
    ops::TenantProduct(args, crew_.get());
  }
  void ChunkDigests(const ChunkDigestArgs& args) override { ops::ChunkDigests(args); }
  bool StageUpload(void* device, size_t bytes, const FillStage& fill) override {
    return bytes == 0 || fill(0, device, bytes);
  }

  void PagedAttention(const PagedAttentionArgs& args) override {
    ops::PagedAttention(args, crew_.get());
  }
  void ScatterRows(const ScatterRowsArgs& args) override { ops::ScatterRows(args); }
  void ScatterColumns(const ScatterColumnsArgs& args) override { ops::ScatterColumns(args); }
  void TenantNorm(const TenantNormArgs& args) override { ops::TenantNorm(args); }
  DeviceMemory Memory() const override { return {}; }

 private:
  const MatMulPrecision precision_;
  const std::unique_ptr<Crew> crew_;
};

}  // namespace

std::unique_ptr<Backend> MakeCpuBackend(MatMulPrecision precision, int serving_threads) {
  return std::make_unique<CpuBackend>(precision, serving_threads);
}

}  // namespace signum::ops
