#include "gpu/cuda/matmul.cuh"

namespace signum::cuda {

MatMuls::MatMuls(Context& context, bool tf32) : context_(context) {
  Check(cublasCreate(&handle_), "cublasCreate");
  if (handle_ == nullptr) return;
  Check(cublasSetStream(handle_, context.stream()), "cublasSetStream");
  Check(cublasSetMathMode(handle_, tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_DEFAULT_MATH),
        "cublasSetMathMode");
}

MatMuls::~MatMuls() {
  if (handle_ != nullptr) cublasDestroy(handle_);
}

// cuBLAS is column-major: a row-major matrix is to it the transpose with the same leading
// dimension, so Cᵀ = op(B)ᵀ op(A)ᵀ is asked for, with the operands in turned order and the same
// transposes.
void MatMuls::Run(const ops::MatMulArgs& args) {
  if (args.m == 0 || args.n == 0) return;
  if (args.k == 0) {
    if (args.accumulate) return;
    const auto width = static_cast<size_t>(args.n) * sizeof(float);
    const size_t pitch = args.m == 1 ? width : static_cast<size_t>(args.ldc) * sizeof(float);
    return context_.Check(
        cudaMemset2DAsync(args.c, pitch, 0, width, static_cast<size_t>(args.m), context_.stream()),
        "MatMul");
  }
  const float one = 1;
  const float before = args.accumulate ? 1.0F : 0.0F;
  Check(cublasSgemm_64(handle_, args.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                       args.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N, args.n, args.m, args.k, &one,
                       args.b, args.ldb, args.a, args.lda, &before, args.c, args.ldc),
        "MatMul");
}

void MatMuls::Check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS) {
    context_.Fail(std::string(what) + ": " + cublasGetStatusString(status));
  }
}

}  // namespace signum::cuda
