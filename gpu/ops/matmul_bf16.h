#pragma once

#include "gpu/kernels/element.h"
#include "gpu/ops/matmul.h"

// Products of operands rounded to bfloat16 (to nearest, ties to even), with sums in float32.

namespace signum::ops {

// Whether this processor multiplies bf16 itself (AVX512_BF16, which every processor with AMX_BF16
// has too) and oneDNN is there to use it.
bool HasBf16Products();

// With the processor's own instructions where it has them, elsewhere as a float32 product of the
// rounded operands: the same up to the order of the sums, but no faster than float32.
void Bf16MatMul(const MatMulArgs& args);

// The product by a oneDNN primitive over operands packed as `element` (kBF16; kF32 for tests, which
// runs everywhere). False, with nothing written, where oneDNN has none for this processor.
bool PrimitiveMatMul(const MatMulArgs& args, kernels::Element element);

// OpenMP's number of threads of the calling thread: callers bring their own threads, and a product
// is never split, so that its sums have one order.
void UseOneThread();

}  // namespace signum::ops
