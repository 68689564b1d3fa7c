#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>

#include "gpu/ops/delta_ops.h"

namespace signum {

// The CPU as a device of its own with `room` bytes of memory: what does not fit is refused. Counts
// what is uploaded.
class LimitedBackend final : public ops::Backend, public ops::DeltaOps {
 public:
  explicit LimitedBackend(size_t room) : room_(room) {}

  std::string name() const override { return "small:0"; }
  bool host_memory() const override { return false; }
  bool concurrent() const override { return true; }

  void* Allocate(size_t bytes) override {
    const std::lock_guard lock(mutex_);
    if (bytes > room_ - used_) return nullptr;
    void* memory = cpu_->Allocate(bytes);
    sizes_[memory] = bytes;
    used_ += bytes;
    return memory;
  }
  void Free(void* memory) noexcept override {
    const std::lock_guard lock(mutex_);
    const auto at = sizes_.find(memory);
    used_ -= at->second;
    sizes_.erase(at);
    cpu_->Free(memory);
  }
  void Upload(const void* host, void* device, size_t bytes) override {
    uploaded_ += bytes;
    cpu_->Upload(host, device, bytes);
  }
  void Download(const void* device, void* host, size_t bytes) override {
    cpu_->Download(device, host, bytes);
  }
  uint64_t uploaded() const { return uploaded_; }
  void Zero(void* device, size_t bytes) override { cpu_->Zero(device, bytes); }
  std::string TakeError() override { return cpu_->TakeError(); }

  void MatMul(const ops::MatMulArgs& args) override { cpu_->MatMul(args); }
  void RmsNorm(const ops::RmsNormArgs& args) override { cpu_->RmsNorm(args); }
  void RmsNormBackward(const ops::RmsNormBackwardArgs& args) override {
    cpu_->RmsNormBackward(args);
  }
  void Rope(const ops::RopeArgs& args) override { cpu_->Rope(args); }
  void Attention(const ops::AttentionArgs& args) override { cpu_->Attention(args); }
  void AttentionBackward(const ops::AttentionBackwardArgs& args) override {
    cpu_->AttentionBackward(args);
  }
  void DecodeAttention(const ops::DecodeAttentionArgs& args) override {
    cpu_->DecodeAttention(args);
  }
  void Swiglu(const ops::SwigluArgs& args) override { cpu_->Swiglu(args); }
  void SwigluBackward(const ops::SwigluBackwardArgs& args) override { cpu_->SwigluBackward(args); }
  void Add(const ops::AddArgs& args) override { cpu_->Add(args); }
  void AddBias(const ops::AddBiasArgs& args) override { cpu_->AddBias(args); }
  void CopyRows(const ops::CopyRowsArgs& args) override { cpu_->CopyRows(args); }
  void CopyColumns(const ops::CopyColumnsArgs& args) override { cpu_->CopyColumns(args); }
  void GatherRows(const ops::GatherRowsArgs& args) override { cpu_->GatherRows(args); }
  void LossAndGrad(const ops::LossArgs& args) override { cpu_->LossAndGrad(args); }
  void CompareLogits(const ops::FidelityArgs& args) override { cpu_->CompareLogits(args); }
  void NegativeLogLikelihood(const ops::NllArgs& args) override {
    cpu_->NegativeLogLikelihood(args);
  }
  void Sample(const ops::SampleArgs& args) override { cpu_->Sample(args); }
  void Materialize(const ops::MaterializeArgs& args) override { cpu_->Materialize(args); }
  void SignGrad(const ops::SignGradArgs& args) override { cpu_->SignGrad(args); }
  void Adamw(const ops::AdamwArgs& args) override { cpu_->Adamw(args); }

  void SignPack(const ops::SignPackArgs& args) override { delta_.SignPack(args); }
  void Reconstruct(const ops::ReconstructArgs& args) override { delta_.Reconstruct(args); }
  void SignProduct(const ops::SignProductArgs& args) override { delta_.SignProduct(args); }
  void TenantProduct(const ops::TenantProductArgs& args) override { delta_.TenantProduct(args); }
  void ChunkDigests(const ops::ChunkDigestArgs& args) override { delta_.ChunkDigests(args); }
  bool StageUpload(void* device, size_t bytes, const ops::FillStage& fill) override {
    uploaded_ += bytes;
    return delta_.StageUpload(device, bytes, fill);
  }

 private:
  const std::unique_ptr<ops::Backend> cpu_ = ops::MakeCpuBackend();
  ops::DeltaOps& delta_ = ops::DeltaOpsOf(*cpu_);
  const size_t room_;
  std::atomic<uint64_t> uploaded_ = 0;
  std::mutex mutex_;
  size_t used_ = 0;
  std::map<void*, size_t> sizes_;
};

}  // namespace signum
