#pragma once

#include <cstdint>

#include "gpu/kernels/element.h"

namespace signum::ops {

// A plane of signs over a matrix [rows, columns], as a delta file has it (row-major, LSB first,
// ceil(columns / 8) bytes a row): S_ij = 2 sign_ij - 1, or 0 where mask_ij is 0 (mask null: none
// is). Its share of the weight is row_i · S_ij · col_j; row has one value for all rows where
// `one_row_scale`; col may be null (1 everywhere).
struct SignPlane {
  const uint8_t* sign = nullptr;
  const uint8_t* mask = nullptr;
  const float* row = nullptr;
  const float* col = nullptr;
  bool one_row_scale = false;
};

inline constexpr int kMaxPlanes = 8;

// out[i, :] = float32(base[base_row_i, :]) + Σ_p planes[p] for rows [0, rows): plane rows are
// counted from 0 and base rows are listed, or the same where base_rows is null. Products and sums
// are rounded to float32 in the order of the planes.
struct MaterializeArgs {
  kernels::Element base_type = kernels::Element::kF32;
  const void* base = nullptr;
  const int32_t* base_rows = nullptr;
  SignPlane planes[kMaxPlanes];
  int plane_count = 0;
  float* out = nullptr;
  int64_t rows = 0, columns = 0;
};
void Materialize(const MaterializeArgs& args);

// The gradient of a plane's scales from that of the weight, G [rows, columns]:
//   drow_i += Σ_j G_ij S_ij col_j      dcol_j += Σ_i G_ij S_ij row_i
// drow has one element where plane.one_row_scale. dcol null: not wanted.
struct SignGradArgs {
  SignPlane plane;
  const float* g = nullptr;
  float* drow = nullptr;
  float* dcol = nullptr;
  int64_t rows = 0, columns = 0;
};
void SignGrad(const SignGradArgs& args);

namespace reference {
void SignGrad(const SignGradArgs& args);  // sums in double
}  // namespace reference

}  // namespace signum::ops
