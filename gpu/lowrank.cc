#include "gpu/lowrank.h"

#include <algorithm>
#include <cmath>

#include "gpu/delta_rows.h"
#include "gpu/kernels/row_matrix.h"
#include "gpu/kernels/symmetric_eigen.h"
#include "gpu/tall_matrix.h"
#include "gpu/tensor_class.h"

namespace signum {
namespace {

constexpr uint64_t kSmallestSide = 64;
constexpr uint64_t kMoreColumns = 12;  // than the rank that was guessed, or half as many again
constexpr uint64_t kColumnGroup = 16;  // what kernels::RowTimesMatrix likes
// The largest singular value of noise is up to twice the mean one, squared four times.
constexpr double kNoiseEdge = 4.5;
// Weights that rounding left alone make the difference look smaller than what was added: a larger
// scale makes up for it. Tried where more than this share is left.
constexpr double kWorthScaling = 0.01;
constexpr std::array<float, 5> kGains{1, 1.0625F, 1.1875F, 1.375F, 1.75F};

// Y = Δ M.
Result<TallMatrix> TimesRight(const EncodeContext& context, const RowPairs& pairs,
                              const TallMatrix& m) {
  TallMatrix y(pairs.rows(), m.columns);
  const auto compute = [&](const RowBlock& block, FloatRow& row) {
    for (uint64_t r = 0; r < block.rows; ++r) {
      row.Load(block, r);
      kernels::RowTimesMatrix(row.delta.data(), m.values.data(), m.rows, m.columns, m.columns,
                              y.Row(block.first + r));
    }
  };
  const auto commit = [](const RowBlock&, FloatRow&) -> Result<void> { return {}; };
  SIGNUM_TRY(ForRowBlocks<FloatRow>(context, pairs, compute, commit));
  return y;
}

struct ProjectSlot {
  FloatRow row;
  std::vector<float> delta;   // the block's differences
  std::vector<float> column;  // of M
  std::vector<float> sums;    // columns of M x columns of Δ
};

// Δᵀ M.
Result<TallMatrix> TimesLeft(const EncodeContext& context, const RowPairs& pairs,
                             const TallMatrix& m) {
  const uint64_t k = pairs.columns();
  std::vector<double> sums(m.columns * k);
  const auto compute = [&](const RowBlock& block, ProjectSlot& slot) {
    slot.delta.resize(block.rows * k);
    slot.column.resize(block.rows);
    slot.sums.resize(sums.size());
    for (uint64_t r = 0; r < block.rows; ++r) {
      slot.row.Load(block, r);
      std::copy(slot.row.delta.begin(), slot.row.delta.end(), slot.delta.data() + r * k);
    }
    for (uint64_t c = 0; c < m.columns; ++c) {
      for (uint64_t r = 0; r < block.rows; ++r) slot.column[r] = m.Row(block.first + r)[c];
      kernels::RowTimesMatrix(slot.column.data(), slot.delta.data(), block.rows, k, k,
                              slot.sums.data() + c * k);
    }
  };
  const auto commit = [&](const RowBlock&, ProjectSlot& slot) -> Result<void> {
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += static_cast<double>(slot.sums[i]);
    return {};
  };
  SIGNUM_TRY(ForRowBlocks<ProjectSlot>(context, pairs, compute, commit));
  TallMatrix out(k, m.columns);
  for (uint64_t j = 0; j < k; ++j) {
    for (uint64_t c = 0; c < m.columns; ++c) out.Row(j)[c] = static_cast<float>(sums[c * k + j]);
  }
  return out;
}

// How many of the squared singular values stand out of what is left beside them.
uint64_t StandingOut(const std::vector<double>& squares, double energy, uint64_t side,
                     uint64_t most, double edge) {
  double found = 0;
  for (double s : squares) found += std::max(s, 0.0);
  const double left = std::max(energy - found, 0.0);
  const uint64_t others = side - std::min<uint64_t>(side, squares.size());
  const double mean = others > 0 ? left / static_cast<double>(others) : 0;
  const double least = std::max(edge * mean, 1e-12 * energy);
  uint64_t rank = 0;
  while (rank < std::min<uint64_t>(most, squares.size()) && squares[rank] > least) ++rank;
  return rank;
}

// Rounds values to the dtype after dividing them by a power of two that brings the largest to 1 …
// 2; returns its exponent.
int Normalise(std::vector<float>& values, Dtype dtype) {
  float largest = 0;
  for (float v : values) largest = std::max(largest, std::fabs(v));
  const int exponent = largest > 0 ? std::ilogb(largest) : 0;
  std::vector<std::byte> rounded(values.size() * DtypeSize(dtype));
  for (float& v : values) v = std::ldexp(v, -exponent);
  kernels::FromFloat(values.data(), values.size(), {*ElementOf(dtype), rounded.data()});
  kernels::ToFloat({*ElementOf(dtype), rounded.data()}, values.size(), values.data());
  return exponent;
}

// Of Y = Δ P with P orthonormal: Δ ≈ Y Pᵀ = (Y V) (P V)ᵀ, V the eigenvectors of YᵀY. Each factor
// gets the root of the singular value.
LowrankFactors Split(const TallMatrix& y, const TallMatrix& p, const kernels::Eigen& eigen,
                     uint64_t rank, Dtype dtype) {
  LowrankFactors out;
  out.rank = rank;
  out.dtype = dtype;
  const uint64_t l = y.columns;
  std::vector<double> to_b(l * rank);
  std::vector<double> to_a(l * rank);
  for (uint64_t r = 0; r < rank; ++r) {
    const double root = std::sqrt(std::sqrt(eigen.values[r]));
    for (uint64_t i = 0; i < l; ++i) {
      to_b[i * rank + r] = eigen.vectors[i * l + r] / root;
      to_a[i * rank + r] = eigen.vectors[i * l + r] * root;
    }
  }
  out.b = Times(y, to_b, rank).values;
  const TallMatrix columns = Times(p, to_a, rank);
  out.a.resize(columns.values.size());
  for (uint64_t j = 0; j < columns.rows; ++j) {
    for (uint64_t r = 0; r < rank; ++r) out.a[r * columns.rows + j] = columns.Row(j)[r];
  }
  const int exponent = Normalise(out.a, dtype) + Normalise(out.b, dtype);
  out.scale = std::ldexp(1.0F, exponent);
  return out;
}

struct GainSlot {
  FloatRow row;
  std::vector<float> sum, rebuilt;
  std::vector<std::byte> rounded;
  std::vector<double> errors;  // a row and gain
};

// Σ (W_fine - W_rebuilt)² with the scale times each of the gains.
Result<std::vector<double>> Errors(const EncodeContext& context, const RowPairs& pairs,
                                   const LowrankFactors& factors, std::span<const float> gains) {
  const uint64_t k = pairs.columns();
  std::vector<double> errors(gains.size());
  const auto compute = [&](const RowBlock& block, GainSlot& slot) {
    slot.sum.resize(k);
    slot.rebuilt.resize(k);
    slot.rounded.resize(k * kernels::ElementBytes(pairs.fine_type()));
    slot.errors.clear();
    for (uint64_t r = 0; r < block.rows; ++r) {
      slot.row.Load(block, r);
      kernels::RowTimesMatrix(factors.b.data() + (block.first + r) * factors.rank, factors.a.data(),
                              factors.rank, k, k, slot.sum.data());
      for (float gain : gains) {
        const float scale = factors.scale * gain;
        for (size_t j = 0; j < k; ++j) slot.rebuilt[j] = slot.row.base[j] + scale * slot.sum[j];
        kernels::FromFloat(slot.rebuilt.data(), k, {pairs.fine_type(), slot.rounded.data()});
        kernels::ToFloat({pairs.fine_type(), slot.rounded.data()}, k, slot.rebuilt.data());
        slot.errors.push_back(
            kernels::SquaredDistance(slot.row.fine.data(), slot.rebuilt.data(), k));
      }
    }
  };
  const auto commit = [&](const RowBlock& block, GainSlot& slot) -> Result<void> {
    for (uint64_t i = 0; i < block.rows * gains.size(); ++i) {
      errors[i % gains.size()] += slot.errors[i];
    }
    return {};
  };
  SIGNUM_TRY(ForRowBlocks<GainSlot>(context, pairs, compute, commit));
  return errors;
}

Result<void> Measure(const EncodeContext& context, const RowPairs& pairs, LowrankFactors& factors) {
  SIGNUM_ASSIGN(const auto plain, Errors(context, pairs, factors, std::span(kGains).first(1)));
  factors.error = plain[0];
  if (!(factors.error > kWorthScaling * factors.energy)) return {};
  SIGNUM_ASSIGN(const auto errors, Errors(context, pairs, factors, kGains));
  const auto best = std::min_element(errors.begin(), errors.end());
  factors.error = *best;
  factors.scale *= kGains[static_cast<size_t>(best - errors.begin())];
  return {};
}

}  // namespace

Dtype FactorDtype(Dtype fine) {
  return fine == Dtype::kBF16 || fine == Dtype::kF16 ? fine : Dtype::kF32;
}

uint64_t HighestRank(const TensorInfo& info, uint64_t bytes) {
  const uint64_t side = std::min(info.shape[0], info.shape[1]);
  const uint64_t a_rank = (info.shape[0] + info.shape[1]) * DtypeSize(FactorDtype(info.dtype));
  if (side < kSmallestSide || bytes <= sizeof(float)) return 0;
  return std::min((bytes - sizeof(float) - 1) / a_rank, side / 2);
}

Result<std::optional<LowrankFactors>> FindFactors(const EncodeContext& context,
                                                  const TensorInfo& info, const RowPairs& pairs,
                                                  const RankSearch& search) {
  const uint64_t side = std::min<uint64_t>(pairs.rows(), pairs.columns());
  const uint64_t guess = std::min(search.guess, search.highest);
  const uint64_t wanted = guess + std::max(kMoreColumns, guess / 2);
  const uint64_t columns =
      std::min((wanted + kColumnGroup - 1) / kColumnGroup * kColumnGroup, side);
  SIGNUM_ASSIGN(TallMatrix y, TimesRight(context, pairs, RandomSigns(pairs.columns(), columns)));
  SIGNUM_ASSIGN(TallMatrix p, TimesLeft(context, pairs, Orthonormal(y)));
  p = Orthonormal(p);
  SIGNUM_ASSIGN(y, TimesRight(context, pairs, p));
  SIGNUM_ASSIGN(const double energy, SumOfSquares(context, pairs));
  const kernels::Eigen eigen = kernels::SymmetricEigen(Gram(y), y.columns, true);
  const double edge = search.all ? 0 : kNoiseEdge;
  const uint64_t rank = StandingOut(eigen.values, energy, side, search.highest, edge);
  if (rank == 0) return std::optional<LowrankFactors>();
  LowrankFactors factors = Split(y, p, eigen, rank, FactorDtype(info.dtype));
  factors.energy = energy;
  const bool in_range = std::isnormal(factors.scale) && factors.scale < 1e30F;
  if (!in_range) return std::optional<LowrankFactors>();
  SIGNUM_TRY(Measure(context, pairs, factors));
  return std::optional<LowrankFactors>(std::move(factors));
}

}  // namespace signum
