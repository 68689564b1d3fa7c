#pragma once

#include "gpu/ops/sign_matrix.h"

namespace signum::ops {

class Crew;

// A linear layer for a batch in which each row belongs to a tenant of its own choice:
//   y[b, :] = x[b, :] · (W + row_t ⊙ S_t ⊙ col_t)ᵀ,   t = tenants[b]
// W [rows, columns] of base_type is shared; deltas[t] is tenant t's plane; a tenant of -1, or with
// a plane that has no signs, has none. Made for few rows of x (one token a sequence): the weights
// and each delta are read about once. Where base is null the planes' share alone is added to y,
// which is how a weight gets more planes than one. Row b of y does not depend on the other rows of
// x, nor on how many there are.
struct TenantProductArgs {
  kernels::Element base_type = kernels::Element::kF32;
  const void* base = nullptr;
  const SignPlane* deltas = nullptr;  // in the backend's memory, as all they point to
  const int32_t* tenants = nullptr;   // [m]
  const float* x = nullptr;           // [m, columns]
  float* y = nullptr;                 // [m, rows]
  int64_t m = 0, rows = 0, columns = 0;
};
void TenantProduct(const TenantProductArgs& args);
// Its outputs divided among a crew (null: none), which changes no bit.
void TenantProduct(const TenantProductArgs& args, Crew* crew);

}  // namespace signum::ops
