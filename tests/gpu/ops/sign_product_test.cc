#include "gpu/ops/sign_product.h"

#include "gpu/ops/delta_ops.h"
#include "tests/gpu/ops/cases.h"
#include "tests/gpu/ops/test_plane.h"

namespace signum::ops {
namespace {

using kernels::Element;

// D_ij of a plane.
double DeltaAt(const TestPlane& p, int64_t columns, int64_t i, int64_t j) {
  return SignAt(p, columns, i, j) * double{RowAt(p, i)} * double{ColAt(p, j)};
}

void CheckProduct(Backend& backend, Report& report, std::mt19937& random, int64_t m, int64_t rows,
                  int64_t columns, unsigned form) {
  const bool input_grad = (form & 8) != 0;
  const bool accumulate = (form & 16) != 0;
  const int64_t inputs = input_grad ? rows : columns;
  const int64_t outputs = input_grad ? columns : rows;
  const TestPlane plane = RandomTestPlane(random, rows, columns, form);
  const Floats x = RandomFloats(random, m * inputs);
  const Floats before = RandomFloats(random, m * outputs);
  const OnDevicePlane on_plane(backend, plane);
  const OnDevice<float> on_x(backend, x);
  const OnDevice<float> y(backend, before);
  DeltaOpsOf(backend).SignProduct(
      {on_plane.get, on_x.data(), y.data(), m, rows, columns, input_grad, accumulate});
  Doubles expected;
  for (int64_t b = 0; b < m; ++b) {
    for (int64_t o = 0; o < outputs; ++o) {
      double sum = accumulate ? double{before[static_cast<size_t>(b * outputs + o)]} : 0.0;
      for (int64_t i = 0; i < inputs; ++i) {
        const double d = input_grad ? DeltaAt(plane, columns, i, o) : DeltaAt(plane, columns, o, i);
        sum += double{x[static_cast<size_t>(b * inputs + i)]} * d;
      }
      expected.push_back(sum);
    }
  }
  report.Near(y.Get(), expected, 5e-6,
              "m " + std::to_string(m) + " rows " + std::to_string(rows) + " columns " +
                  std::to_string(columns) + " form " + std::to_string(form));
}

void Multiplies(Backend& backend, Report& report) {
  std::mt19937 random(1);
  const int64_t shapes[][3] = {{1, 1, 1}, {3, 5, 7}, {64, 64, 32}, {65, 70, 100}, {10, 130, 33}};
  for (const auto& s : shapes) {
    for (unsigned form = 0; form < 32; ++form) {
      CheckProduct(backend, report, random, s[0], s[1], s[2], form);
    }
  }
}

struct Layer {
  Element type;
  int64_t m, rows, columns;
  int tenants;
};

void CheckTenants(Backend& backend, Report& report, std::mt19937& random, const Layer& s) {
  const std::vector<uint8_t> base = Encode(s.type, RandomFloats(random, s.rows * s.columns));
  const Floats w = Decode(s.type, base);
  const Floats x = RandomFloats(random, s.m * s.columns);
  std::vector<TestPlane> planes;
  std::vector<OnDevicePlane> on_planes;
  on_planes.reserve(static_cast<size_t>(s.tenants));
  std::vector<SignPlane> deltas;
  for (int t = 0; t < s.tenants; ++t) {
    planes.push_back(RandomTestPlane(random, s.rows, s.columns, static_cast<unsigned>(t)));
    on_planes.emplace_back(backend, planes.back());
    deltas.push_back(on_planes.back().get);
  }
  std::vector<int32_t> tenants;
  for (int64_t b = 0; b < s.m; ++b) {
    tenants.push_back(static_cast<int32_t>(random() % static_cast<unsigned>(s.tenants + 1)) - 1);
  }
  const OnDevice<uint8_t> on_base(backend, base);
  const OnDevice<SignPlane> on_deltas(backend, deltas);
  const OnDevice<int32_t> on_tenants(backend, tenants);
  const OnDevice<float> on_x(backend, x);
  const OnDevice<float> y(backend, static_cast<size_t>(s.m * s.rows));
  DeltaOpsOf(backend).TenantProduct({s.type, on_base.data(), on_deltas.data(), on_tenants.data(),
                                     on_x.data(), y.data(), s.m, s.rows, s.columns});
  Doubles expected;
  for (int64_t b = 0; b < s.m; ++b) {
    for (int64_t o = 0; o < s.rows; ++o) {
      double sum = 0;
      const int32_t t = tenants[static_cast<size_t>(b)];
      for (int64_t j = 0; j < s.columns; ++j) {
        double weight = double{w[static_cast<size_t>(o * s.columns + j)]};
        if (t >= 0) weight += DeltaAt(planes[static_cast<size_t>(t)], s.columns, o, j);
        sum += double{x[static_cast<size_t>(b * s.columns + j)]} * weight;
      }
      expected.push_back(sum);
    }
  }
  report.Near(y.Get(), expected, 5e-6,
              "tenants: m " + std::to_string(s.m) + " rows " + std::to_string(s.rows) +
                  " columns " + std::to_string(s.columns) + " type " +
                  std::to_string(static_cast<int>(s.type)));
}

// Without a base the planes' share is added to what is there.
void AddsPlanesAlone(Backend& backend, Report& report) {
  std::mt19937 random(3);
  const int64_t m = 3, rows = 19, columns = 77;
  const TestPlane plane = RandomTestPlane(random, rows, columns, 6);
  const OnDevicePlane on_plane(backend, plane);
  const OnDevice<SignPlane> deltas(backend, std::vector<SignPlane>{on_plane.get});
  const OnDevice<int32_t> tenants(backend, std::vector<int32_t>{0, -1, 0});
  const Floats x = RandomFloats(random, m * columns);
  const Floats before = RandomFloats(random, m * rows);
  const OnDevice<float> on_x(backend, x);
  const OnDevice<float> y(backend, before);
  DeltaOpsOf(backend).TenantProduct({Element::kF32, nullptr, deltas.data(), tenants.data(),
                                     on_x.data(), y.data(), m, rows, columns});
  Doubles expected = ToDoubles(before);
  for (const int64_t b : {0, 2}) {
    for (int64_t o = 0; o < rows; ++o) {
      for (int64_t j = 0; j < columns; ++j) {
        expected[static_cast<size_t>(b * rows + o)] +=
            double{x[static_cast<size_t>(b * columns + j)]} * DeltaAt(plane, columns, o, j);
      }
    }
  }
  report.Near(y.Get(), expected, 5e-6, "planes alone");
}

void MultipliesForTenants(Backend& backend, Report& report) {
  std::mt19937 random(2);
  for (const Layer& s :
       {Layer{Element::kBF16, 1, 1, 1, 1}, Layer{Element::kBF16, 3, 17, 264, 2},
        Layer{Element::kF16, 9, 33, 512, 4}, Layer{Element::kF32, 8, 16, 256, 8},
        Layer{Element::kF64, 2, 5, 77, 1}, Layer{Element::kBF16, 20, 40, 601, 8}}) {
    CheckTenants(backend, report, random, s);
  }
}

}  // namespace

std::vector<Case> SignProductCases() {
  return {Case{"SignProductMultiplies", Multiplies},
          Case{"SignProductForTenants", MultipliesForTenants},
          Case{"SignProductAddsPlanesAlone", AddsPlanesAlone}};
}

}  // namespace signum::ops
