#include "gpu/ops/elementwise.h"

#include "tests/gpu/ops/cases.h"

namespace signum::ops {
namespace {

void Adds(Backend& backend, Report& report) {
  std::mt19937 random(1);
  for (const int64_t n : {1, 100, 256, 5000}) {
    const Floats a = RandomFloats(random, n);
    const Floats b = RandomFloats(random, n);
    Floats expected(a.size());
    for (size_t i = 0; i < a.size(); ++i) expected[i] = a[i] + b[i];
    const OnDevice<float> on_a(backend, a);
    const OnDevice<float> on_b(backend, b);
    const OnDevice<float> y(backend, a.size());
    backend.Add({on_a.data(), on_b.data(), y.data(), n});
    report.Equal(y.Get(), expected, "apart");
    backend.Add({on_a.data(), on_b.data(), on_b.data(), n});
    report.Equal(on_b.Get(), expected, "in place");
  }
}

void AddsBias(Backend& backend, Report& report) {
  std::mt19937 random(2);
  const int64_t rows = 13;
  const int64_t n = 77;
  const Floats bias = RandomFloats(random, n);
  Floats y = RandomFloats(random, rows * n);
  const OnDevice<float> on_bias(backend, bias);
  const OnDevice<float> on_y(backend, y);
  backend.AddBias({on_bias.data(), on_y.data(), rows, n});
  for (size_t i = 0; i < y.size(); ++i) y[i] += bias[i % static_cast<size_t>(n)];
  report.Equal(on_y.Get(), y, "bias");
}

// What lies between the rows of the target stays.
void CopiesRows(Backend& backend, Report& report) {
  std::mt19937 random(5);
  const int64_t rows = 7;
  const int64_t n = 300;
  const Floats from = RandomFloats(random, rows * (n + 3));
  Floats to = RandomFloats(random, rows * (n + 10));
  const OnDevice<float> on_from(backend, from);
  const OnDevice<float> on_to(backend, to);
  backend.CopyRows({on_from.data(), on_to.data(), rows, n, n + 3, n + 10});
  for (int64_t r = 0; r < rows; ++r) {
    std::copy_n(from.begin() + r * (n + 3), n, to.begin() + r * (n + 10));
  }
  report.Equal(on_to.Get(), to, "rows");
}

void CopiesColumns(Backend& backend, Report& report) {
  std::mt19937 random(3);
  const int64_t rows = 9;
  const int64_t n = 50;
  const Floats from = RandomFloats(random, rows * n);
  const std::vector<int32_t> columns = {49, 0, 3, 3, 48, 17, 1};
  const OnDevice<float> on_from(backend, from);
  const OnDevice<int32_t> on_columns(backend, columns);
  const OnDevice<float> out(backend, columns.size() * rows);
  backend.CopyColumns({on_from.data(), on_columns.data(), out.data(), rows, n,
                       static_cast<int64_t>(columns.size())});
  Floats expected;
  for (int64_t r = 0; r < rows; ++r) {
    for (const int32_t c : columns) expected.push_back(from[static_cast<size_t>(r * n + c)]);
  }
  report.Equal(out.Get(), expected, "columns");
}

void GathersRows(Backend& backend, Report& report) {
  std::mt19937 random(4);
  for (const kernels::Element type : {kernels::Element::kF64, kernels::Element::kF32,
                                      kernels::Element::kF16, kernels::Element::kBF16}) {
    const int64_t n = 37;
    const std::vector<uint8_t> table = Encode(type, RandomFloats(random, 12 * n));
    const Floats values = Decode(type, table);
    const std::vector<int32_t> indices = {11, 0, 5, 5, 1};
    const OnDevice<uint8_t> on_table(backend, table);
    const OnDevice<int32_t> on_indices(backend, indices);
    const OnDevice<float> out(backend, indices.size() * n);
    backend.GatherRows({type, on_table.data(), on_indices.data(), out.data(),
                        static_cast<int64_t>(indices.size()), n});
    Floats expected;
    for (const int32_t index : indices) {
      expected.insert(expected.end(), values.begin() + index * n, values.begin() + (index + 1) * n);
    }
    report.Equal(out.Get(), expected, "rows of type " + std::to_string(static_cast<int>(type)));
  }
}

}  // namespace

std::vector<Case> ElementwiseCases() {
  return {Case{"Adds", Adds}, Case{"AddsBias", AddsBias}, Case{"CopiesRows", CopiesRows},
          Case{"CopiesColumns", CopiesColumns}, Case{"GathersRows", GathersRows}};
}

}  // namespace signum::ops
