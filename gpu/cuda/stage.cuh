#pragma once

#include "gpu/cuda/context.cuh"
#include "gpu/ops/delta_ops.h"

namespace signum::cuda {

// Two pinned buffers on the host, made at the first transfer: one travels while the other is
// filled.
class Stage {
 public:
  explicit Stage(Context& context) : context_(context) {}
  ~Stage();
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;

  // As DeltaOps::StageUpload.
  bool Upload(void* device, size_t bytes, const ops::FillStage& fill);

 private:
  static constexpr int kBuffers = 2;
  bool Make();

  Context& context_;
  void* buffers_[kBuffers] = {};
  cudaEvent_t sent_[kBuffers] = {};  // the copy out of each buffer is done
  bool made_ = false;
};

}  // namespace signum::cuda
