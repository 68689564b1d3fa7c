#include "tests/gpu/ops/test_plane.h"

namespace signum::ops {

TestPlane RandomTestPlane(std::mt19937& random, int64_t rows, int64_t columns, unsigned form) {
  TestPlane plane;
  plane.sign = RandomPlane(random, rows, columns);
  plane.one_row_scale = (form & 1) != 0;
  plane.row = RandomFloats(random, plane.one_row_scale ? 1 : rows);
  if ((form & 2) != 0) plane.mask = RandomPlane(random, rows, columns);
  if ((form & 4) != 0) plane.col = RandomFloats(random, columns);
  return plane;
}

OnDevicePlane::OnDevicePlane(Backend& backend, const TestPlane& plane)
    : sign(backend, plane.sign),
      mask(backend, plane.mask),
      row(backend, plane.row),
      col(backend, plane.col),
      get{sign.data(), plane.mask.empty() ? nullptr : mask.data(), row.data(),
          plane.col.empty() ? nullptr : col.data(), plane.one_row_scale} {}

double SignAt(const TestPlane& plane, int64_t columns, int64_t i, int64_t j) {
  if (!plane.mask.empty() && !BitAt(plane.mask, columns, i, j)) return 0;
  return BitAt(plane.sign, columns, i, j) ? 1 : -1;
}

float RowAt(const TestPlane& plane, int64_t i) {
  return plane.row[plane.one_row_scale ? 0 : static_cast<size_t>(i)];
}

float ColAt(const TestPlane& plane, int64_t j) {
  return plane.col.empty() ? 1 : plane.col[static_cast<size_t>(j)];
}

}  // namespace signum::ops
