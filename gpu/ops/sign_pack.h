#pragma once

#include <cstdint>

#include "gpu/kernels/element.h"
#include "gpu/kernels/sign_pack.h"

namespace signum::ops {

// kernels::SignPackRow over the rows of a matrix [rows, columns]: signs, and mask and stats [rows]
// where they are not null. Bits and sums are the same on every backend.
struct SignPackArgs {
  kernels::Element base_type = kernels::Element::kF32;
  kernels::Element fine_type = kernels::Element::kF32;
  const void* base = nullptr;
  const void* fine = nullptr;
  uint8_t* sign = nullptr;  // [rows, ceil(columns / 8)]
  uint8_t* mask = nullptr;
  kernels::RowStats* stats = nullptr;
  int64_t rows = 0, columns = 0;
};
void SignPack(const SignPackArgs& args);

}  // namespace signum::ops
