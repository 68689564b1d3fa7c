#pragma once

// What a program and the CUDA module that it loads agree on. C++ standard library only.

namespace signum::ops {
class Backend;
}

namespace signum::cuda {

inline constexpr char kModuleFile[] = "libsignum_cuda.so";

struct ModuleOptions {
  int device = 0;
  bool tf32 = false;  // see MatMuls
};

// The names of the module's two functions.
inline constexpr char kInterfaceName[] = "SignumCudaInterface";
inline constexpr char kOpenName[] = "SignumCudaOpen";

// What interface the module was built with: a digest of the headers of gpu/ops
// (SIGNUM_OPS_INTERFACE, which CMake computes). A program takes no other module than its own.
using InterfaceFunction = const char*();
// A backend that the caller deletes, or null and the reason in `why`, of `why_size` bytes.
using OpenFunction = ops::Backend*(const ModuleOptions& options, char* why, unsigned long why_size);

}  // namespace signum::cuda
