#pragma once

#include <cstdint>

#include "gpu/kernels/element.h"

namespace signum::ops {

// y = a + b, n elements. y may be a or b.
struct AddArgs {
  const float* a = nullptr;
  const float* b = nullptr;
  float* y = nullptr;
  int64_t n = 0;
};
void Add(const AddArgs& args);

// y[r, :] += bias for rows of n.
struct AddBiasArgs {
  const float* bias = nullptr;
  float* y = nullptr;
  int64_t rows = 0, n = 0;
};
void AddBias(const AddBiasArgs& args);

// to[r * to_stride + i] = from[r * from_stride + i], i < n.
struct CopyRowsArgs {
  const float* from = nullptr;
  float* to = nullptr;
  int64_t rows = 0, n = 0;
  int64_t from_stride = 0, to_stride = 0;
};
void CopyRows(const CopyRowsArgs& args);

// out[r, i] = from[r, columns[i]]: from [rows, from_columns], out [rows, count].
struct CopyColumnsArgs {
  const float* from = nullptr;
  const int32_t* columns = nullptr;
  float* out = nullptr;
  int64_t rows = 0, from_columns = 0, count = 0;
};
void CopyColumns(const CopyColumnsArgs& args);

// out[i, :] = float32(table[indices[i], :]) for rows of n elements of `type`.
struct GatherRowsArgs {
  kernels::Element type = kernels::Element::kF32;
  const void* table = nullptr;
  const int32_t* indices = nullptr;
  float* out = nullptr;
  int64_t count = 0, n = 0;
};
void GatherRows(const GatherRowsArgs& args);

}  // namespace signum::ops
