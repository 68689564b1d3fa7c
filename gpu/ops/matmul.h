#pragma once

#include <cstdint>

namespace signum::ops {

// C[m, n] = op(A)[m, k] · op(B)[k, n], plus C where `accumulate`. Row-major float32; lda, ldb and
// ldc are the elements from one row as stored to the next; op transposes where asked for, so A is
// stored [k, m] where transpose_a. Any size may be 0 (k = 0 gives zeros, or leaves C alone).
struct MatMulArgs {
  const float* a = nullptr;
  const float* b = nullptr;
  float* c = nullptr;
  int64_t m = 0, n = 0, k = 0;
  int64_t lda = 0, ldb = 0, ldc = 0;
  bool transpose_a = false;
  bool transpose_b = false;
  bool accumulate = false;
};

// y[m, n] = x[m, k] · w[n, k]ᵀ: a linear layer.
MatMulArgs Linear(const float* x, const float* w, float* y, int64_t m, int64_t n, int64_t k);
// dx[m, k] += dy[m, n] · w[n, k]: its gradient for the input.
MatMulArgs LinearInputGrad(const float* dy, const float* w, float* dx, int64_t m, int64_t n,
                           int64_t k);

// How the CPU multiplies.
enum class MatMulPrecision : uint8_t {
  kFp32,
  kBf16,  // operands rounded to bfloat16, sums in float32: matmul_bf16.h
  kAuto,  // kBf16 where the processor has instructions for it, else kFp32
};

// On the calling thread alone, through oneDNN; the same bits on the same processor however many
// threads call.
void MatMul(const MatMulArgs& args);
void MatMul(const MatMulArgs& args, MatMulPrecision precision);

namespace reference {
void MatMul(const MatMulArgs& args);  // sums in double
}  // namespace reference

}  // namespace signum::ops
