#include "tests/gpu/cuda/emulation/cublas_v2.h"

#include "tests/gpu/cuda/emulation/streams.h"

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  *handle = new EmulatedCublas;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  handle->stream = stream;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) { return CUBLAS_STATUS_SUCCESS; }
const char* cublasGetStatusString(cublasStatus_t) { return "CUBLAS_STATUS_INVALID_VALUE"; }

namespace {

// alpha and beta are the host's, read at the call.
struct Product {
  bool ta, tb;
  int64_t m, n, k;
  float alpha, beta;
  const float *a, *b;
  float* c;
  int64_t lda, ldb, ldc;

  void Run() const {
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t i = 0; i < m; ++i) {
        double sum = 0;
        for (int64_t p = 0; p < k; ++p) {
          sum += double{ta ? a[p + i * lda] : a[i + p * lda]} *
                 double{tb ? b[j + p * ldb] : b[p + j * ldb]};
        }
        float& place = c[i + j * ldc];
        place = static_cast<float>(double{alpha} * sum +
                                   (beta == 0 ? 0.0 : double{beta} * double{place}));
      }
    }
  }
};

}  // namespace

cublasStatus_t cublasSgemm_64(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b,
                              int64_t m, int64_t n, int64_t k, const float* alpha, const float* a,
                              int64_t lda, const float* b, int64_t ldb, const float* beta, float* c,
                              int64_t ldc) {
  const bool ta = op_a == CUBLAS_OP_T;
  const bool tb = op_b == CUBLAS_OP_T;
  // BLAS: a leading dimension is at least the rows as stored, and 1.
  if (m < 0 || n < 0 || k < 0 || lda < std::max<int64_t>(1, ta ? k : m) ||
      ldb < std::max<int64_t>(1, tb ? n : k) || ldc < std::max<int64_t>(1, m)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  const Product product{ta, tb, m, n, k, *alpha, *beta, a, b, c, lda, ldb, ldc};
  signum::emulation::Enqueue(handle->stream, [product] { product.Run(); });
  return CUBLAS_STATUS_SUCCESS;
}
