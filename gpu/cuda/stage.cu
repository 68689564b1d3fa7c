#include "gpu/cuda/stage.cuh"

#include <algorithm>

namespace signum::cuda {
namespace {

constexpr size_t kStageBytes = size_t{8} << 20;  // long enough that a copy's start costs little

}  // namespace

Stage::~Stage() {
  for (int i = 0; i < kBuffers; ++i) {
    if (sent_[i] != nullptr) cudaEventDestroy(sent_[i]);
    if (buffers_[i] != nullptr) cudaFreeHost(buffers_[i]);
  }
}

bool Stage::Make() {
  for (int i = 0; i < kBuffers && !made_; ++i) {
    if (sent_[i] == nullptr) {
      const cudaError_t error = cudaEventCreateWithFlags(&sent_[i], cudaEventDisableTiming);
      context_.Check(error, "cudaEventCreate");
      if (error != cudaSuccess) return false;
    }
    if (buffers_[i] == nullptr) {
      const cudaError_t error = cudaMallocHost(&buffers_[i], kStageBytes);
      context_.Check(error, "pinned memory");
      if (error != cudaSuccess) return false;
    }
  }
  return made_ = true;
}

bool Stage::Upload(void* device, size_t bytes, const ops::FillStage& fill) {
  if (!Make()) return false;
  bool whole = true;
  for (size_t offset = 0, turn = 0; offset < bytes; offset += kStageBytes, ++turn) {
    const size_t piece = std::min(kStageBytes, bytes - offset);
    const size_t i = turn % kBuffers;
    // An event that was never recorded counts as done.
    context_.Check(cudaEventSynchronize(sent_[i]), "cudaEventSynchronize");
    whole = fill(offset, buffers_[i], piece);
    if (!whole) break;
    context_.Check(cudaMemcpyAsync(static_cast<char*>(device) + offset, buffers_[i], piece,
                                   cudaMemcpyHostToDevice, context_.stream()),
                   "upload");
    context_.Check(cudaEventRecord(sent_[i], context_.stream()), "cudaEventRecord");
  }
  context_.Wait();
  return whole;
}

}  // namespace signum::cuda
