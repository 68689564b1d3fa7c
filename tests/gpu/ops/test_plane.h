#pragma once

#include "gpu/ops/sign_matrix.h"
#include "tests/gpu/ops/check.h"

namespace signum::ops {

// A random plane of signs; mask and col are empty where it has none.
struct TestPlane {
  std::vector<uint8_t> sign, mask;
  Floats row, col;
  bool one_row_scale = false;
};
// Bits of `form`: 1 one row scale, 2 a mask, 4 column scales.
TestPlane RandomTestPlane(std::mt19937& random, int64_t rows, int64_t columns, unsigned form);

// The same in a backend's memory.
struct OnDevicePlane {
  OnDevice<uint8_t> sign, mask;
  OnDevice<float> row, col;
  SignPlane get;

  OnDevicePlane(Backend& backend, const TestPlane& plane);
};

// S_ij, and the scales of row i and column j.
double SignAt(const TestPlane& plane, int64_t columns, int64_t i, int64_t j);
float RowAt(const TestPlane& plane, int64_t i);
float ColAt(const TestPlane& plane, int64_t j);

}  // namespace signum::ops
