#include "gpu/cuda/context.cuh"

#include <algorithm>

namespace signum::cuda {
namespace {

constexpr int kLeastMajor = 7;  // 7.5: what CUDA 13 builds for
constexpr int kLeastMinor = 5;

__global__ void Nothing() {}

// "" where the module has code for the calling thread's device.
std::string WhyNoCode(int device) {
  cudaFuncAttributes attributes{};
  const cudaError_t error = cudaFuncGetAttributes(&attributes, Nothing);
  if (error == cudaSuccess) return {};
  cudaGetLastError();
  return "the module has no code for device " + std::to_string(device) + " (" +
         cudaGetErrorString(error) + "): see SIGNUM_CUDA_ARCHITECTURES";
}

// "" where device `device` is there and new enough.
std::string WhyNot(int device) {
  int count = 0;  // a missing driver leaves it as it is
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) return std::string("no usable driver: ") + cudaGetErrorString(error);
  if (device < 0 || device >= count) {
    return "no device " + std::to_string(device) + ": there are " + std::to_string(count);
  }
  int major = 0;
  int minor = 0;
  if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess ||
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) != cudaSuccess) {
    return "device " + std::to_string(device) + " does not answer";
  }
  if (major > kLeastMajor || (major == kLeastMajor && minor >= kLeastMinor)) return {};
  return "device " + std::to_string(device) + " is older than compute capability 7.5";
}

}  // namespace

Context* Context::Open(int device, std::string* why) {
  *why = WhyNot(device);
  if (!why->empty()) return nullptr;
  auto* context = new Context;
  context->device_ = device;
  context->Use();
  if (const std::string no_code = WhyNoCode(device); !no_code.empty()) context->Fail(no_code);
  context->Check(
      cudaDeviceGetAttribute(&context->multiprocessors_, cudaDevAttrMultiProcessorCount, device),
      "cudaDeviceGetAttribute");
  context->Check(cudaStreamCreateWithFlags(&context->stream_, cudaStreamNonBlocking),
                 "cudaStreamCreate");
  if (context->error_.empty()) return context;
  *why = context->error_;
  delete context;
  return nullptr;
}

Context::~Context() {
  Use();
  if (stream_ != nullptr) {
    Wait();
    cudaStreamDestroy(stream_);
  }
  if (scratch_ != nullptr) cudaFree(scratch_);
}

std::string Context::TakeError() {
  Use();
  Wait();
  Check(cudaGetLastError(), "CUDA");
  return std::exchange(error_, {});
}

void* Context::Scratch(size_t bytes) {
  if (bytes <= scratch_size_) return scratch_;
  if (scratch_ != nullptr) {
    Wait();  // ops before may still use it
    cudaFree(scratch_);
  }
  scratch_ = nullptr;
  scratch_size_ = 0;
  const size_t size = std::max(bytes, size_t{1} << 20);
  const cudaError_t error = cudaMalloc(&scratch_, size);
  if (error != cudaSuccess) {
    cudaGetLastError();  // reported here, once
    scratch_ = nullptr;
    Check(error, "memory for an op");
    return nullptr;
  }
  scratch_size_ = size;
  return scratch_;
}

int64_t Context::BlocksFor(int64_t n, unsigned threads) const {
  constexpr int64_t kBlocksEach = 32;  // more than can be resident, to even out the end
  const int64_t blocks = (n + threads - 1) / threads;
  return std::min(blocks, kBlocksEach * multiprocessors_);
}

}  // namespace signum::cuda
