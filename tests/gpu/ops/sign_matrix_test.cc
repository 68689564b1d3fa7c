#include "gpu/ops/sign_matrix.h"

#include "tests/gpu/ops/cases.h"
#include "tests/gpu/ops/test_plane.h"

namespace signum::ops {
namespace {

using kernels::Element;

struct MaterializeShape {
  int64_t rows, columns;
  int planes;
};

// float32 in the stated order, so the bits are known.
Floats Expected(const MaterializeShape& s, const Floats& base, const std::vector<int32_t>& rows,
                const std::vector<TestPlane>& planes) {
  Floats out;
  for (int64_t i = 0; i < s.rows; ++i) {
    const int64_t from = rows.empty() ? i : rows[static_cast<size_t>(i)];
    for (int64_t j = 0; j < s.columns; ++j) {
      float value = base[static_cast<size_t>(from * s.columns + j)];
      for (const TestPlane& p : planes) {
        const float scale = RowAt(p, i) * ColAt(p, j);
        const double sign = SignAt(p, s.columns, i, j);
        if (sign > 0) value = value + scale;
        if (sign < 0) value = value - scale;
      }
      out.push_back(value);
    }
  }
  return out;
}

void CheckMaterialize(Backend& backend, Report& report, std::mt19937& random, Element type,
                      const MaterializeShape& s) {
  const bool listed = random() % 2 == 0;
  const int64_t base_rows = s.rows + (listed ? 4 : 0);
  const std::vector<uint8_t> base = Encode(type, RandomFloats(random, base_rows * s.columns));
  std::vector<int32_t> rows;
  for (int64_t i = 0; listed && i < s.rows; ++i) {
    rows.push_back(static_cast<int32_t>(random() % static_cast<unsigned>(base_rows)));
  }
  std::vector<TestPlane> planes;
  std::vector<OnDevicePlane> on_device;
  on_device.reserve(kMaxPlanes);
  const OnDevice<uint8_t> on_base(backend, base);
  const OnDevice<int32_t> on_rows(backend, rows);
  const OnDevice<float> out(backend, static_cast<size_t>(s.rows * s.columns));
  MaterializeArgs args;
  args.base_type = type;
  args.base = on_base.data();
  args.base_rows = listed ? on_rows.data() : nullptr;
  args.plane_count = s.planes;
  args.out = out.data();
  args.rows = s.rows;
  args.columns = s.columns;
  for (int p = 0; p < s.planes; ++p) {
    planes.push_back(RandomTestPlane(random, s.rows, s.columns, static_cast<unsigned>(random())));
    on_device.emplace_back(backend, planes.back());
    args.planes[p] = on_device.back().get;
  }
  backend.Materialize(args);
  report.Equal(out.Get(), Expected(s, Decode(type, base), rows, planes),
               "type " + std::to_string(static_cast<int>(type)) + " rows " +
                   std::to_string(s.rows) + " columns " + std::to_string(s.columns) + " planes " +
                   std::to_string(s.planes));
}

void Materializes(Backend& backend, Report& report) {
  std::mt19937 random(1);
  for (const Element type : {Element::kF64, Element::kF32, Element::kF16, Element::kBF16}) {
    for (const MaterializeShape& s :
         {MaterializeShape{1, 1, 1}, MaterializeShape{3, 7, 2}, MaterializeShape{5, 8, 1},
          MaterializeShape{9, 64, 3}, MaterializeShape{4, 100, 1}, MaterializeShape{2, 4104, 2},
          MaterializeShape{3, 70, 0}, MaterializeShape{6, 520, 8}}) {
      CheckMaterialize(backend, report, random, type, s);
    }
  }
}

void CheckGrad(Backend& backend, Report& report, std::mt19937& random, int64_t rows,
               int64_t columns, unsigned form, bool want_columns) {
  const TestPlane plane = RandomTestPlane(random, rows, columns, form);
  const Floats g = RandomFloats(random, rows * columns);
  const Floats row_before = RandomFloats(random, plane.one_row_scale ? 1 : rows);
  const Floats col_before = RandomFloats(random, columns);
  const OnDevicePlane on_plane(backend, plane);
  const OnDevice<float> on_g(backend, g);
  const OnDevice<float> drow(backend, row_before);
  const OnDevice<float> dcol(backend, col_before);
  backend.SignGrad({on_plane.get, on_g.data(), drow.data(), want_columns ? dcol.data() : nullptr,
                    rows, columns});
  Doubles expected_row = ToDoubles(row_before);
  Doubles expected_col = ToDoubles(col_before);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) {
      const double signed_g =
          double{g[static_cast<size_t>(i * columns + j)]} * SignAt(plane, columns, i, j);
      expected_row[plane.one_row_scale ? 0 : static_cast<size_t>(i)] +=
          signed_g * double{ColAt(plane, j)};
      if (want_columns) expected_col[static_cast<size_t>(j)] += signed_g * double{RowAt(plane, i)};
    }
  }
  const std::string what = "rows " + std::to_string(rows) + " columns " + std::to_string(columns) +
                           " form " + std::to_string(form);
  // The sums of a whole matrix may cancel: relative to their parts.
  report.Near(drow.Get(), expected_row, plane.one_row_scale ? 2e-4 : 1e-5, "drow, " + what);
  report.Near(dcol.Get(), expected_col, 1e-5, "dcol, " + what);
}

void SignGradients(Backend& backend, Report& report) {
  std::mt19937 random(2);
  const int64_t shapes[][2] = {{1, 1}, {3, 7}, {70, 64}, {5, 100}, {130, 9}, {2, 4100}, {33, 2304}};
  for (const auto& shape : shapes) {
    for (unsigned form = 0; form < 8; ++form) {
      CheckGrad(backend, report, random, shape[0], shape[1], form, true);
      CheckGrad(backend, report, random, shape[0], shape[1], form, false);
    }
  }
}

}  // namespace

std::vector<Case> SignMatrixCases() {
  return {Case{"Materializes", Materializes}, Case{"SignGradients", SignGradients}};
}

}  // namespace signum::ops
