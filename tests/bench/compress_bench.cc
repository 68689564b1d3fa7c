// How fast the compression arithmetic goes through weights beside a plain streaming read of the
// same buffers, on one core. targets.md: sign-and-pack with row scales at >= 0.8 of the read. Base
// and fine-tune are 512 MiB of bf16 each, far above any cache. Each measurement is taken in turns
// with a read, and `of_read` is the ratio of the fastest of both.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "gpu/kernels/lanes.h"
#include "gpu/kernels/reconstruct.h"
#include "gpu/kernels/row_col_fit.h"
#include "gpu/kernels/sign_pack.h"
#include "gpu/kernels/simd.h"
#include "tests/bench/streaming_read.h"

namespace signum::kernels {
namespace {

constexpr size_t kColumns = 4096;
constexpr size_t kRows = 65536;
constexpr size_t kWords = kRows * kColumns / 4;  // of 64 bits a side

struct Weights {
  std::vector<uint16_t> base, fine;
  std::vector<uint8_t> sign;
};

// bf16 weights of about 0.02 with changes of a few units in the last place.
Weights& SharedWeights() {
  static Weights weights = [] {
    Weights made{std::vector<uint16_t>(kRows * kColumns), std::vector<uint16_t>(kRows * kColumns),
                 std::vector<uint8_t>(kRows * kColumns / 8)};
    uint64_t random = 1;
    for (size_t i = 0; i < made.base.size(); ++i) {
      random = random * 6364136223846793005U + 1442695040888963407U;
      made.base[i] = static_cast<uint16_t>(0x3c00 | (random >> 63 << 15) | (random >> 40 & 0xff));
      made.fine[i] = static_cast<uint16_t>(made.base[i] ^ (random >> 32 & 7));
    }
    return made;
  }();
  return weights;
}

using bench::SecondsOf;
using bench::SumWords;

void ReadSide(const std::vector<uint16_t>& side) {
  benchmark::DoNotOptimize(SumWords(reinterpret_cast<const uint64_t*>(side.data()), kWords));
}

// Measures `work`, which goes through `sides` of the two buffers, and the read of as much.
void BesideRead(benchmark::State& state, int sides, auto work) {
  const Weights& weights = SharedWeights();
  double best_read = 1e9;
  double best_work = 1e9;
  for (auto _ : state) {
    best_read = std::min(best_read, SecondsOf([&] {
                           ReadSide(weights.base);
                           if (sides == 2) ReadSide(weights.fine);
                         }));
    const double seconds = SecondsOf(work);
    state.SetIterationTime(seconds);
    best_work = std::min(best_work, seconds);
  }
  const double gigabytes = static_cast<double>(sides * kWords * 8) / 1e9;
  state.SetLabel(SimdName());
  state.counters["GB/s"] = gigabytes / best_work;
  state.counters["read_GB/s"] = gigabytes / best_read;
  state.counters["of_read"] = best_read / best_work;
}

ConstRow Row(const std::vector<uint16_t>& side, size_t row) {
  return {Element::kBF16, side.data() + row * kColumns};
}

void BM_SignAndPackRowScales(benchmark::State& state) {
  Weights& weights = SharedWeights();
  std::vector<float> scales(kRows);
  BesideRead(state, 2, [&] {
    for (size_t r = 0; r < kRows; ++r) {
      const RowStats stats = SignPackRow(Row(weights.base, r), Row(weights.fine, r), kColumns,
                                         weights.sign.data() + r * kColumns / 8, nullptr);
      scales[r] = static_cast<float>(stats.sum_abs / kColumns);
    }
    benchmark::DoNotOptimize(scales.data());
  });
}

// One pass of the row+col fit; a compression makes kFitPasses.
void BM_RowColFitPass(benchmark::State& state) {
  const Weights& weights = SharedWeights();
  RowColFit fit(kRows, kColumns, false, 1e-3);
  std::vector<float> dot(kColumns);
  BesideRead(state, 2, [&] {
    fit.BeginPass();
    for (size_t r = 0; r < kRows; r += kGroupRows) {
      fit.FitRows(Row(weights.base, r), Row(weights.fine, r), r, kGroupRows, dot.data(), nullptr);
      fit.Commit(dot.data(), nullptr);
    }
    fit.EndPass();
  });
}

// Beside a read of the base alone; it also reads the signs and writes as much as it reads.
void BM_Rebuild(benchmark::State& state) {
  Weights& weights = SharedWeights();
  const std::vector<float> col(kColumns, 1.0F);
  std::vector<uint16_t> out(kColumns * 64);
  BesideRead(state, 1, [&] {
    for (size_t r = 0; r < kRows; ++r) {
      const SignScales how{weights.sign.data() + r * kColumns / 8, nullptr, 1e-3F, col.data()};
      ReconstructRow(Row(weights.base, r), how, kColumns,
                     {Element::kBF16, out.data() + r % 64 * kColumns});
    }
    benchmark::DoNotOptimize(out.data());
  });
}

BENCHMARK(BM_SignAndPackRowScales)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(12);
BENCHMARK(BM_RowColFitPass)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(12);
BENCHMARK(BM_Rebuild)->UseManualTime()->Unit(benchmark::kMillisecond)->Iterations(12);

}  // namespace
}  // namespace signum::kernels

BENCHMARK_MAIN();
