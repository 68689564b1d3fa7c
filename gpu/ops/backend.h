#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "gpu/ops/adamw.h"
#include "gpu/ops/attention.h"
#include "gpu/ops/elementwise.h"
#include "gpu/ops/loss.h"
#include "gpu/ops/matmul.h"
#include "gpu/ops/rms_norm.h"
#include "gpu/ops/rope.h"
#include "gpu/ops/sample.h"
#include "gpu/ops/sign_matrix.h"
#include "gpu/ops/swiglu.h"

// Where a model runs. The pointers in an op's arguments are to the backend's memory, scalars are
// values. C++ standard library only: the CUDA module is built alone and loaded at run time.

namespace signum::ops {

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string name() const = 0;  // "cpu", "cuda:0"
  // Whether the backend's memory is the host's, so that host pointers serve in place.
  virtual bool host_memory() const = 0;
  // Whether ops may be called from several threads at once, each on rows of its own. Where not, all
  // calls but Free come from one thread at a time, and one may return before its work is done.
  virtual bool concurrent() const = 0;

  // `bytes` aligned to 256; null where there is not enough memory.
  virtual void* Allocate(size_t bytes) = 0;
  virtual void Free(void* memory) noexcept = 0;  // any thread; no other backend may be using it
  // Both return when the host side may be used again, after all ops before them.
  virtual void Upload(const void* host, void* device, size_t bytes) = 0;
  virtual void Download(const void* device, void* host, size_t bytes) = 0;
  virtual void Zero(void* device, size_t bytes) = 0;
  // What has gone wrong since the last call: empty, or a message; waits for all ops.
  virtual std::string TakeError() = 0;

  virtual void MatMul(const MatMulArgs& args) = 0;
  virtual void RmsNorm(const RmsNormArgs& args) = 0;
  virtual void RmsNormBackward(const RmsNormBackwardArgs& args) = 0;
  virtual void Rope(const RopeArgs& args) = 0;
  virtual void Attention(const AttentionArgs& args) = 0;
  virtual void AttentionBackward(const AttentionBackwardArgs& args) = 0;
  virtual void DecodeAttention(const DecodeAttentionArgs& args) = 0;
  virtual void Swiglu(const SwigluArgs& args) = 0;
  virtual void SwigluBackward(const SwigluBackwardArgs& args) = 0;
  virtual void Add(const AddArgs& args) = 0;
  virtual void AddBias(const AddBiasArgs& args) = 0;
  virtual void CopyRows(const CopyRowsArgs& args) = 0;
  virtual void CopyColumns(const CopyColumnsArgs& args) = 0;
  virtual void GatherRows(const GatherRowsArgs& args) = 0;
  virtual void LossAndGrad(const LossArgs& args) = 0;
  virtual void CompareLogits(const FidelityArgs& args) = 0;
  virtual void NegativeLogLikelihood(const NllArgs& args) = 0;
  virtual void Sample(const SampleArgs& args) = 0;
  virtual void Materialize(const MaterializeArgs& args) = 0;
  virtual void SignGrad(const SignGradArgs& args) = 0;
  virtual void Adamw(const AdamwArgs& args) = 0;
};

// The reference: ops on the calling thread, host memory. `precision` is that of MatMul alone:
// attention multiplies in float32. The products and the attention of serving are divided among
// `serving_threads`.
std::unique_ptr<Backend> MakeCpuBackend(MatMulPrecision precision = MatMulPrecision::kFp32,
                                        int serving_threads = 1);

// Elements of T in a backend's memory. Empty where there was not enough of it.
template <class T>
class Buffer {
 public:
  Buffer() = default;
  Buffer(Backend& backend, size_t size)
      : backend_(&backend),
        data_(static_cast<T*>(backend.Allocate(std::max(size, size_t{1}) * sizeof(T)))),
        size_(size) {}
  Buffer(Buffer&& other) noexcept { Swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer moved(std::move(other));
    Swap(moved);
    return *this;
  }
  ~Buffer() {
    if (data_ != nullptr) backend_->Free(data_);
  }

  explicit operator bool() const { return data_ != nullptr; }
  T* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  void Swap(Buffer& other) noexcept {
    std::swap(backend_, other.backend_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  Backend* backend_ = nullptr;
  T* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace signum::ops
