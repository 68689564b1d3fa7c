#pragma once

#include <cublas_v2.h>

#include "gpu/cuda/context.cuh"
#include "gpu/ops/matmul.h"

namespace signum::cuda {

// cuBLAS on a context's stream.
class MatMuls {
 public:
  // `tf32`: products on the tensor cores with 10-bit mantissas, about 3e-4 of relative error.
  MatMuls(Context& context, bool tf32);
  ~MatMuls();
  MatMuls(const MatMuls&) = delete;
  MatMuls& operator=(const MatMuls&) = delete;

  void Run(const ops::MatMulArgs& args);

 private:
  void Check(cublasStatus_t status, const char* what);

  Context& context_;
  cublasHandle_t handle_ = nullptr;
};

}  // namespace signum::cuda
