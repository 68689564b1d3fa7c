#include "gpu/cuda/backend.cuh"

#include <cstring>

#include "gpu/cuda/context.cuh"
#include "gpu/cuda/delta_ops.cuh"
#include "gpu/cuda/matmul.cuh"
#include "gpu/cuda/ops.cuh"
#include "gpu/cuda/serve_ops.cuh"
#include "gpu/cuda/stage.cuh"
#include "gpu/cuda/transfers.cuh"

namespace signum::cuda {
namespace {

// Backend, DeltaOps, ServeOps and TransferOps on one device. Each call makes the device the calling
// thread's first: the one thread that calls need not be the one that opened it.
class CudaBackend final : public ops::Backend,
                          public ops::DeltaOps,
                          public ops::ServeOps,
                          public Transfers {
 public:
  CudaBackend(std::unique_ptr<Context> context, bool tf32)
      : Transfers(*context),
        context_(std::move(context)),
        matmuls_(*context_, tf32),
        stage_(*context_) {}
  ~CudaBackend() override {
    context_->Use();
    context_->Wait();
  }

  std::string name() const override { return "cuda:" + std::to_string(context_->device()); }
  bool host_memory() const override { return false; }
  bool concurrent() const override { return false; }

  void* Allocate(size_t bytes) override {
    Ready();
    void* memory = nullptr;
    if (cudaMalloc(&memory, bytes) == cudaSuccess) return memory;
    cudaGetLastError();  // too little memory is an answer, not an error
    return nullptr;
  }
  // After the ops that still use the memory; from any thread, so it leaves the context alone.
  void Free(void* memory) noexcept override {
    cudaSetDevice(context_->device());
    cudaStreamSynchronize(context_->stream());
    cudaFree(memory);
  }
  void Upload(const void* host, void* device, size_t bytes) override {
    Copy(host, device, bytes, cudaMemcpyHostToDevice, "upload");
  }
  void Download(const void* device, void* host, size_t bytes) override {
    Copy(device, host, bytes, cudaMemcpyDeviceToHost, "download");
  }
  void Zero(void* device, size_t bytes) override {
    if (bytes == 0) return;
    Ready().Check(cudaMemsetAsync(device, 0, bytes, context_->stream()), "zero");
  }
  std::string TakeError() override { return context_->TakeError(); }

  void MatMul(const ops::MatMulArgs& args) override {
    Ready();
    matmuls_.Run(args);
  }
  void RmsNorm(const ops::RmsNormArgs& args) override { cuda::RmsNorm(Ready(), args); }
  void RmsNormBackward(const ops::RmsNormBackwardArgs& args) override {
    cuda::RmsNormBackward(Ready(), args);
  }
  void Rope(const ops::RopeArgs& args) override { cuda::Rope(Ready(), args); }
  void Attention(const ops::AttentionArgs& args) override { cuda::Attention(Ready(), args); }
  void AttentionBackward(const ops::AttentionBackwardArgs& args) override {
    cuda::AttentionBackward(Ready(), args);
  }
  void DecodeAttention(const ops::DecodeAttentionArgs& args) override {
    cuda::DecodeAttention(Ready(), args);
  }
  void Swiglu(const ops::SwigluArgs& args) override { cuda::Swiglu(Ready(), args); }
  void SwigluBackward(const ops::SwigluBackwardArgs& args) override {
    cuda::SwigluBackward(Ready(), args);
  }
  void Add(const ops::AddArgs& args) override { cuda::Add(Ready(), args); }
  void AddBias(const ops::AddBiasArgs& args) override { cuda::AddBias(Ready(), args); }
  void CopyRows(const ops::CopyRowsArgs& args) override { cuda::CopyRows(Ready(), args); }
  void CopyColumns(const ops::CopyColumnsArgs& args) override { cuda::CopyColumns(Ready(), args); }
  void GatherRows(const ops::GatherRowsArgs& args) override { cuda::GatherRows(Ready(), args); }
  void LossAndGrad(const ops::LossArgs& args) override { cuda::LossAndGrad(Ready(), args); }
  void CompareLogits(const ops::FidelityArgs& args) override { cuda::CompareLogits(Ready(), args); }
  void NegativeLogLikelihood(const ops::NllArgs& args) override {
    cuda::NegativeLogLikelihood(Ready(), args);
  }
  void Sample(const ops::SampleArgs& args) override { cuda::Sample(Ready(), args); }
  void Materialize(const ops::MaterializeArgs& args) override { cuda::Materialize(Ready(), args); }
  void SignGrad(const ops::SignGradArgs& args) override { cuda::SignGrad(Ready(), args); }
  void Adamw(const ops::AdamwArgs& args) override { cuda::Adamw(Ready(), args); }

  void SignPack(const ops::SignPackArgs& args) override { cuda::SignPack(Ready(), args); }
  void Reconstruct(const ops::ReconstructArgs& args) override { cuda::Reconstruct(Ready(), args); }
  void SignProduct(const ops::SignProductArgs& args) override { cuda::SignProduct(Ready(), args); }
  void TenantProduct(const ops::TenantProductArgs& args) override {
    cuda::TenantProduct(Ready(), args);
  }
  void ChunkDigests(const ops::ChunkDigestArgs& args) override {
    cuda::ChunkDigests(Ready(), args);
  }
  bool StageUpload(void* device, size_t bytes, const ops::FillStage& fill) override {
    Ready();
    return stage_.Upload(device, bytes, fill);
  }

  void CopyIn(void* device, const void* host, size_t bytes) override {
    if (Locked(host)) return Upload(host, device, bytes);
    StageUpload(device, bytes, [host](size_t offset, void* to, size_t size) {
      std::memcpy(to, static_cast<const char*>(host) + offset, size);
      return true;
    });
  }

  void PagedAttention(const ops::PagedAttentionArgs& args) override {
    cuda::PagedAttention(Ready(), args);
  }
  void ScatterRows(const ops::ScatterRowsArgs& args) override { cuda::ScatterRows(Ready(), args); }
  void ScatterColumns(const ops::ScatterColumnsArgs& args) override {
    cuda::ScatterColumns(Ready(), args);
  }
  void TenantNorm(const ops::TenantNormArgs& args) override { cuda::TenantNorm(Ready(), args); }
  // As Free it touches nothing of the context's that changes.
  ops::DeviceMemory Memory() const override {
    size_t free = 0;
    size_t total = 0;
    cudaSetDevice(context_->device());
    if (cudaMemGetInfo(&free, &total) != cudaSuccess) return {};
    return {total, free};
  }

 private:
  Context& Ready() {
    context_->Use();
    return *context_;
  }

  void Copy(const void* from, void* to, size_t bytes, cudaMemcpyKind kind, const char* what) {
    if (bytes == 0) return;
    Ready().Check(cudaMemcpyAsync(to, from, bytes, kind, context_->stream()), what);
    context_->Wait();
  }

  std::unique_ptr<Context> context_;
  MatMuls matmuls_;
  Stage stage_;
};

}  // namespace

std::unique_ptr<ops::Backend> MakeBackend(const ModuleOptions& options, std::string* why) {
  std::unique_ptr<Context> context(Context::Open(options.device, why));
  if (context == nullptr) return nullptr;
  auto backend = std::make_unique<CudaBackend>(std::move(context), options.tf32);
  *why = backend->TakeError();  // cuBLAS may be missing, or its memory
  if (!why->empty()) return nullptr;
  return backend;
}

}  // namespace signum::cuda
