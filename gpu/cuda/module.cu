#include "gpu/cuda/module.h"

#include <cstdio>
#include <string>

#include "gpu/cuda/backend.cuh"

extern "C" __attribute__((visibility("default"))) const char* SignumCudaInterface() {
  return SIGNUM_OPS_INTERFACE;
}

extern "C" __attribute__((visibility("default"))) signum::ops::Backend* SignumCudaOpen(
    const signum::cuda::ModuleOptions& options, char* why, unsigned long why_size) {
  std::string reason;
  auto backend = signum::cuda::MakeBackend(options, &reason);
  if (backend == nullptr) std::snprintf(why, why_size, "%s", reason.c_str());
  return backend.release();
}
