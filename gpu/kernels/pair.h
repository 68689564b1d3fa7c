#pragma once

#include "gpu/kernels/convert.h"
#include "gpu/kernels/lanes.h"

namespace signum::kernels {

// A block of a base row and the same block of the fine-tune's, both of one type the vector code
// reads directly: F32, F16 or BF16.
struct BlockPair {
  Element type;
  const void* base;
  const void* fine;
};

// Where blocks of mixed types (and F64) are converted to.
struct PairBuffers {
  float base[kBlockColumns];
  float fine[kBlockColumns];
};

// n <= kBlockColumns.
inline BlockPair Unify(ConstRow base, ConstRow fine, size_t n, PairBuffers& buffers) {
  if (base.type == fine.type && base.type != Element::kF64) {
    return {base.type, base.data, fine.data};
  }
  ToFloat(base, n, buffers.base);
  ToFloat(fine, n, buffers.fine);
  return {Element::kF32, buffers.base, buffers.fine};
}

}  // namespace signum::kernels
