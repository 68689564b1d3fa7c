// One token each for T tenants through the linear layers of one block of a 7B model (bf16), on one
// core: one pass over the base with T deltas beside it, against
//   the floor  (base bytes + T x delta bytes) / the rate of a streaming read (targets.md: <= 1.25
//   x) dense      T passes, each over a model of its own
// usage: tenant_bench [most tenants]

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "gpu/ops/tenant_product.h"
#include "tests/bench/streaming_read.h"

namespace {

using namespace signum::ops;
using signum::bench::SecondsOf;
using signum::kernels::Element;

constexpr int kRuns = 3;
constexpr int kDenseModels = 4;  // taken in turn: each is far above any cache

struct Shape {
  int64_t rows, columns;
  int64_t weights() const { return rows * columns; }
};
// q, k, v, o, gate, up, down.
constexpr Shape kLayer[] = {{4096, 4096},  {4096, 4096},  {4096, 4096}, {4096, 4096},
                            {11008, 4096}, {11008, 4096}, {4096, 11008}};

int64_t LayerWeights() {
  int64_t sum = 0;
  for (const Shape& shape : kLayer) sum += shape.weights();
  return sum;
}

int64_t LayerScales() {
  int64_t sum = 0;
  for (const Shape& shape : kLayer) sum += shape.rows + shape.columns;
  return sum;
}

// Random bits in which every 16 are a bf16, and every 32 a float, of ordinary size.
std::vector<uint64_t> Random(size_t bytes) {
  static uint64_t random = 1;
  std::vector<uint64_t> words(bytes / 8 + 8);
  for (uint64_t& word : words) {
    random = random * 6364136223846793005U + 1442695040888963407U;
    word = ((random ^ random >> 32) & 0x807f807f807f807fULL) | 0x3c003c003c003c00ULL;
  }
  return words;
}

struct Delta {
  std::vector<uint64_t> signs = Random(static_cast<size_t>(LayerWeights()) / 8);
  std::vector<uint64_t> scales = Random(static_cast<size_t>(LayerScales()) * sizeof(float));
};

struct Rows {
  std::vector<float> x, y;
  explicit Rows(int64_t tenants)
      : x(static_cast<size_t>(tenants * 11008), 0.01F), y(static_cast<size_t>(tenants * 11008)) {}
};

// One token of each tenant (of none where `tenants` has -1) through the whole layer.
void RunLayer(const std::vector<uint64_t>& base, const std::vector<Delta>& deltas, Rows& rows,
              const std::vector<int32_t>& tenants) {
  int64_t weights = 0;
  int64_t scales = 0;
  for (const Shape& shape : kLayer) {
    std::vector<SignPlane> planes;
    for (const Delta& delta : deltas) {
      const auto* scale = reinterpret_cast<const float*>(delta.scales.data()) + scales;
      planes.push_back({reinterpret_cast<const uint8_t*>(delta.signs.data()) + weights / 8, nullptr,
                        scale, scale + shape.rows, false});
    }
    TenantProduct({Element::kBF16, reinterpret_cast<const uint16_t*>(base.data()) + weights,
                   planes.data(), tenants.data(), rows.x.data(), rows.y.data(),
                   static_cast<int64_t>(tenants.size()), shape.rows, shape.columns});
    weights += shape.weights();
    scales += shape.rows + shape.columns;
  }
}

double Best(auto work) {
  double best = 1e9;
  for (int run = 0; run < kRuns; ++run) best = std::min(best, SecondsOf(work));
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t most = argc > 1 ? std::atoll(argv[1]) : 64;
  const auto base_bytes = static_cast<double>(LayerWeights() * 2);
  const auto delta_bytes =
      static_cast<double>(LayerWeights()) / 8 + static_cast<double>(LayerScales()) * 4;
  std::vector<std::vector<uint64_t>> models;
  for (int i = 0; i < kDenseModels; ++i) {
    models.push_back(Random(static_cast<size_t>(LayerWeights()) * 2));
  }
  uint64_t sum = 0;
  const double read = Best([&] {
    for (const auto& model : models) sum += signum::bench::SumWords(model.data(), model.size());
  });
  const double rate = base_bytes * kDenseModels / read;
  std::printf("streaming read %.1f GB/s (%s), one core; a layer is %.0f MB, its delta %.1f MB\n",
              rate * 1e-9, sum == 0 ? "zeros" : "random", base_bytes * 1e-6, delta_bytes * 1e-6);
  std::printf("%4s %12s %12s %10s %14s %10s\n", "T", "one base ms", "floor ms", "of floor",
              "dense ms", "dense/ours");
  std::vector<Delta> deltas;
  for (int64_t t = 1; t <= most; t *= 2) {
    while (static_cast<int64_t>(deltas.size()) < t) deltas.emplace_back();
    Rows rows(t);
    std::vector<int32_t> tenants;
    for (int64_t i = 0; i < t; ++i) tenants.push_back(static_cast<int32_t>(i));
    const double ours = Best([&] { RunLayer(models[0], deltas, rows, tenants); });
    const double dense = Best([&] {
      for (int64_t i = 0; i < t; ++i) {
        RunLayer(models[static_cast<size_t>(i % kDenseModels)], {}, rows, {-1});
      }
    });
    const double floor = (base_bytes + static_cast<double>(t) * delta_bytes) / rate;
    std::printf("%4lld %12.1f %12.1f %10.2f %14.1f %10.2f\n", static_cast<long long>(t), ours * 1e3,
                floor * 1e3, ours / floor, dense * 1e3, dense / ours);
    std::fflush(stdout);
  }
  return 0;
}
