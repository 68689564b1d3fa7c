#include "gpu/ops/matmul.h"

#include "gpu/ops/matmul_bf16.h"

#if SIGNUM_HAVE_ONEDNN
#include <dnnl.h>
#endif

namespace signum::ops {

MatMulArgs Linear(const float* x, const float* w, float* y, int64_t m, int64_t n, int64_t k) {
  MatMulArgs args;
  args.a = x;
  args.b = w;
  args.c = y;
  args.m = m;
  args.n = n;
  args.k = k;
  args.lda = k;
  args.ldb = k;
  args.ldc = n;
  args.transpose_b = true;
  return args;
}

MatMulArgs LinearInputGrad(const float* dy, const float* w, float* dx, int64_t m, int64_t n,
                           int64_t k) {
  MatMulArgs args;
  args.a = dy;
  args.b = w;
  args.c = dx;
  args.m = m;
  args.n = k;
  args.k = n;
  args.lda = n;
  args.ldb = k;
  args.ldc = k;
  args.accumulate = true;
  return args;
}

namespace reference {

void MatMul(const MatMulArgs& args) {
  for (int64_t i = 0; i < args.m; ++i) {
    for (int64_t j = 0; j < args.n; ++j) {
      double sum = args.accumulate ? double{args.c[i * args.ldc + j]} : 0.0;
      for (int64_t p = 0; p < args.k; ++p) {
        const float a = args.transpose_a ? args.a[p * args.lda + i] : args.a[i * args.lda + p];
        const float b = args.transpose_b ? args.b[j * args.ldb + p] : args.b[p * args.ldb + j];
        sum += double{a} * double{b};
      }
      args.c[i * args.ldc + j] = static_cast<float>(sum);
    }
  }
}

}  // namespace reference

#if SIGNUM_HAVE_ONEDNN
void MatMul(const MatMulArgs& args) {
  if (args.m == 0 || args.n == 0) return;
  if (args.k == 0) return reference::MatMul(args);
  UseOneThread();
  dnnl_sgemm(args.transpose_a ? 'T' : 'N', args.transpose_b ? 'T' : 'N', args.m, args.n, args.k,
             1.0F, args.a, args.lda, args.b, args.ldb, args.accumulate ? 1.0F : 0.0F, args.c,
             args.ldc);
}
#else
void MatMul(const MatMulArgs& args) { reference::MatMul(args); }
#endif

void MatMul(const MatMulArgs& args, MatMulPrecision precision) {
  if (precision == MatMulPrecision::kBf16 ||
      (precision == MatMulPrecision::kAuto && HasBf16Products())) {
    return Bf16MatMul(args);
  }
  MatMul(args);
}

}  // namespace signum::ops
