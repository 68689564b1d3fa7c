#include "gpu/ops/serve_ops.h"

#include "gpu/ops/delta_ops.h"
#include "tests/gpu/ops/cases.h"
#include "tests/gpu/ops/naive_attention.h"
#include "tests/gpu/ops/test_plane.h"

namespace signum::ops {
namespace {

// Rows of several sequences whose blocks lie in any order.
struct Paged {
  int64_t heads, kv_heads, dim, block, window;
  std::vector<int32_t> lengths;  // a row of each sequence that sees so many tokens

  int64_t stride() const {
    return (*std::max_element(lengths.begin(), lengths.end()) + block - 1) / block;
  }
  int64_t rows() const { return static_cast<int64_t>(lengths.size()); }
  int64_t slots() const { return rows() * stride() * block; }
};

struct PagedData {
  PagedData(std::mt19937& random, const Paged& s)
      : q(RandomFloats(random, s.rows() * s.heads * s.dim, 2)),
        k(RandomFloats(random, s.slots() * s.kv_heads * s.dim, 2)),
        v(RandomFloats(random, s.slots() * s.kv_heads * s.dim)) {
    for (int64_t r = 0; r < s.rows(); ++r) row_tables.push_back(static_cast<int32_t>(r));
    for (int64_t b = 0; b < s.rows() * s.stride(); ++b) tables.push_back(static_cast<int32_t>(b));
    std::shuffle(tables.begin(), tables.end(), random);
    std::shuffle(row_tables.begin(), row_tables.end(), random);
  }

  Floats q, k, v;
  std::vector<int32_t> tables, row_tables;
};

// Rows [first, first + count).
Floats Attend(Backend& backend, const Paged& s, const PagedData& data, int64_t first,
              int64_t count) {
  const OnDevice<float> q(backend, data.q);
  const OnDevice<float> k(backend, data.k);
  const OnDevice<float> v(backend, data.v);
  const OnDevice<int32_t> tables(backend, data.tables);
  const OnDevice<int32_t> row_tables(backend, data.row_tables);
  const OnDevice<int32_t> lengths(backend, s.lengths);
  const int64_t width = s.heads * s.dim;
  const OnDevice<float> out(backend, static_cast<size_t>(count * width));
  PagedAttentionArgs args;
  args.q = q.data() + first * width;
  args.k = k.data();
  args.v = v.data();
  args.out = out.data();
  args.tables = tables.data();
  args.row_tables = row_tables.data() + first;
  args.lengths = lengths.data() + first;
  args.rows = count;
  args.table_stride = s.stride();
  args.block_tokens = s.block;
  args.heads = s.heads;
  args.kv_heads = s.kv_heads;
  args.head_dim = s.dim;
  args.window = s.window;
  ServeOpsOf(backend)->PagedAttention(args);
  return out.Get();
}

// The last query of the row's sequence, its keys and values put one after another.
Doubles ExpectedRow(const Paged& s, const PagedData& data, int64_t row) {
  const int64_t length = s.lengths[static_cast<size_t>(row)];
  const int64_t width = s.heads * s.dim;
  const int64_t kv_width = s.kv_heads * s.dim;
  Doubles q(static_cast<size_t>(length * width));
  std::copy_n(data.q.begin() + row * width, width, q.end() - width);
  Doubles k;
  Doubles v;
  for (int64_t j = 0; j < length; ++j) {
    const int64_t table = data.row_tables[static_cast<size_t>(row)] * s.stride() + j / s.block;
    const int64_t slot = data.tables[static_cast<size_t>(table)] * s.block + j % s.block;
    k.insert(k.end(), data.k.begin() + slot * kv_width, data.k.begin() + (slot + 1) * kv_width);
    v.insert(v.end(), data.v.begin() + slot * kv_width, data.v.begin() + (slot + 1) * kv_width);
  }
  const AttentionShape shape{1, length, s.heads, s.kv_heads, s.dim, s.window};
  const Doubles all = NaiveAttention(shape, q, k, v);
  return {all.end() - width, all.end()};
}

void AttendsToTheTokensOfTheTable(Backend& backend, Report& report) {
  std::mt19937 random(1);
  for (const Paged& s : {Paged{1, 1, 4, 1, 0, {1}}, Paged{4, 2, 8, 4, 0, {11, 12, 1, 4, 9}},
                         Paged{4, 2, 8, 4, 5, {11, 12, 1, 4, 9}}, Paged{6, 6, 32, 16, 0, {33, 300}},
                         Paged{2, 1, 100, 16, 1, {40, 17}}, Paged{3, 1, 200, 8, 40, {90}}}) {
    const PagedData data(random, s);
    Doubles expected;
    for (int64_t r = 0; r < s.rows(); ++r) {
      const Doubles row = ExpectedRow(s, data, r);
      expected.insert(expected.end(), row.begin(), row.end());
    }
    report.Near(Attend(backend, s, data, 0, s.rows()), expected, 5e-6,
                "head_dim " + std::to_string(s.dim) + " window " + std::to_string(s.window));
  }
}

void ARowsBitsAreThoseOfTheRowAlone(Backend& backend, Report& report) {
  std::mt19937 random(2);
  const Paged s{4, 2, 16, 8, 0, {50, 1, 300, 7}};
  const PagedData data(random, s);
  const Floats all = Attend(backend, s, data, 0, s.rows());
  const int64_t width = s.heads * s.dim;
  for (int64_t r = 0; r < s.rows(); ++r) {
    const Floats alone(all.begin() + r * width, all.begin() + (r + 1) * width);
    report.Equal(Attend(backend, s, data, r, 1), alone, "row " + std::to_string(r));
  }
}

void Scatters(Backend& backend, Report& report) {
  ServeOps& serve = *ServeOpsOf(backend);
  const OnDevice<float> from(backend, Floats{1, 2, 3, 4});
  const OnDevice<int32_t> places(backend, std::vector<int32_t>{2, 0});
  const OnDevice<float> rows(backend, Floats(6, 9));
  serve.ScatterRows({from.data(), places.data(), rows.data(), 2, 2});
  report.Equal(rows.Get(), {3, 4, 9, 9, 1, 2}, "rows");
  const OnDevice<float> columns(backend, Floats(6, 9));
  serve.ScatterColumns({from.data(), places.data(), columns.data(), 2, 2, 3, false});
  report.Equal(columns.Get(), {2, 9, 1, 4, 9, 3}, "columns");
  serve.ScatterColumns({from.data(), places.data(), columns.data(), 2, 2, 3, true});
  report.Equal(columns.Get(), {4, 9, 2, 8, 9, 6}, "columns, added");
}

// Rows wider than a block has threads.
void ScattersWideRows(Backend& backend, Report& report) {
  std::mt19937 random(3);
  const int64_t n = 700;
  const Floats values = RandomFloats(random, 2 * n);
  const OnDevice<float> from(backend, values);
  const OnDevice<int32_t> slots(backend, std::vector<int32_t>{1, 0});
  const OnDevice<float> to(backend, values.size());
  ServeOpsOf(backend)->ScatterRows({from.data(), slots.data(), to.data(), 2, n});
  Floats expected(values.begin() + n, values.end());
  expected.insert(expected.end(), values.begin(), values.begin() + n);
  report.Equal(to.Get(), expected, "rows");
  std::vector<int32_t> turned;
  for (int64_t i = n; i-- > 0;) turned.push_back(static_cast<int32_t>(i));
  const OnDevice<int32_t> columns(backend, turned);
  ServeOpsOf(backend)->ScatterColumns({from.data(), columns.data(), to.data(), 2, n, n, false});
  std::reverse(expected.begin(), expected.end());
  report.Equal(to.Get(), expected, "columns");
}

// A row's product is the same bits in any place of any batch, beside any tenants.
void ProductsOfARowDependOnNoOther(Backend& backend, Report& report) {
  std::mt19937 random(4);
  const int64_t m = 11, rows = 19, columns = 264;
  const std::vector<uint8_t> base =
      Encode(kernels::Element::kBF16, RandomFloats(random, rows * columns));
  const TestPlane planes[] = {RandomTestPlane(random, rows, columns, 1),
                              RandomTestPlane(random, rows, columns, 6)};
  const OnDevicePlane first(backend, planes[0]);
  const OnDevicePlane second(backend, planes[1]);
  const OnDevice<SignPlane> deltas(backend, std::vector<SignPlane>{first.get, {}, second.get});
  std::vector<int32_t> tenants;  // 1: a plane without signs
  for (int64_t b = 0; b < m; ++b) tenants.push_back(static_cast<int32_t>(b % 4) - 1);
  const OnDevice<int32_t> on_tenants(backend, tenants);
  const OnDevice<uint8_t> on_base(backend, base);
  const OnDevice<float> x(backend, RandomFloats(random, m * columns));
  const auto product = [&](int64_t from, int64_t count) {
    const OnDevice<float> y(backend, static_cast<size_t>(count * rows));
    DeltaOpsOf(backend).TenantProduct({kernels::Element::kBF16, on_base.data(), deltas.data(),
                                       on_tenants.data() + from, x.data() + from * columns,
                                       y.data(), count, rows, columns});
    return y.Get();
  };
  const Floats all = product(0, m);
  for (int64_t count = 1; count < m; ++count) {
    const int64_t from = m - count;
    report.Equal(product(from, count), Floats(all.begin() + from * rows, all.end()),
                 "the last " + std::to_string(count));
  }
}

// Each row as RmsNorm has it with that row's own weights, in place too.
void NormsRowsOfManyModels(Backend& backend, Report& report) {
  std::mt19937 random(5);
  const int64_t rows = 7, n = 300;
  const OnDevice<float> first(backend, RandomFloats(random, n));
  const OnDevice<float> second(backend, RandomFloats(random, n));
  const OnDevice<NormWeight> weights(
      backend, std::vector<NormWeight>{{first.data(), 1e-5F}, {second.data(), 1e-3F}});
  const std::vector<int32_t> tenants{0, 1, 1, 0, 0, 1, 0};
  const OnDevice<int32_t> on_tenants(backend, tenants);
  const OnDevice<float> x(backend, RandomFloats(random, rows * n));
  const OnDevice<float> expected(backend, static_cast<size_t>(rows * n));
  const OnDevice<float> inverse(backend, 1);
  for (int64_t b = 0; b < rows; ++b) {
    const bool two = tenants[static_cast<size_t>(b)] == 1;
    backend.RmsNorm({x.data() + b * n, (two ? second : first).data(), expected.data() + b * n,
                     inverse.data(), 1, n, two ? 1e-3F : 1e-5F});
  }
  const OnDevice<float> y(backend, static_cast<size_t>(rows * n));
  TenantNormArgs args{weights.data(), on_tenants.data(), x.data(), y.data(), rows, n};
  ServeOpsOf(backend)->TenantNorm(args);
  report.Equal(y.Get(), expected.Get(), "norms");
  args.y = x.data();
  ServeOpsOf(backend)->TenantNorm(args);
  report.Equal(x.Get(), expected.Get(), "norms in place");
}

}  // namespace

std::vector<Case> ServeCases() {
  return {Case{"PagedAttentionOfTables", AttendsToTheTokensOfTheTable},
          Case{"PagedAttentionRowsAlone", ARowsBitsAreThoseOfTheRowAlone},
          Case{"Scatters", Scatters},
          Case{"ScattersWideRows", ScattersWideRows},
          Case{"TenantProductRowsAlone", ProductsOfARowDependOnNoOther},
          Case{"TenantNorms", NormsRowsOfManyModels}};
}

}  // namespace signum::ops
