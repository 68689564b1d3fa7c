#include <algorithm>
#include <cmath>

#include "gpu/delta_rows.h"
#include "gpu/kernels/row_matrix.h"
#include "gpu/kernels/symmetric_eigen.h"
#include "gpu/lowrank.h"
#include "gpu/tall_matrix.h"

namespace signum {
namespace {

constexpr uint64_t kFewRows = 24;
constexpr uint64_t kManyRows = 128;
// A difference of rank r with noise spreads its energy over about r directions, a full one over
// hundreds; so does what is left of it in a sample. Loose: the second look decides.
constexpr double kSpread = 2;
// Energy past the guessed rank: little of it, or a sharp edge where noise begins.
constexpr double kLittle = 0.25, kMuch = 0.65, kEdge = 3;

// `count` rows of the difference, evenly spread.
Result<TallMatrix> SampleRows(const RowPairs& pairs, uint64_t count) {
  TallMatrix rows(count, pairs.columns());
  DeltaRowReader reader(pairs);
  for (uint64_t i = 0; i < count; ++i) {
    SIGNUM_ASSIGN(const auto* delta, reader.Read((2 * i + 1) * pairs.rows() / (2 * count)));
    std::copy(delta->begin(), delta->end(), rows.Row(i));
  }
  return rows;
}

// Of how many directions of equal energy the rows look like random mixtures: (tr C)² / tr C² of
// their covariance C, from products of different rows only, so that few rows will do.
double Directions(const TallMatrix& rows) {
  double norms = 0;
  double products = 0;
  for (uint64_t i = 0; i < rows.rows; ++i) {
    norms += kernels::Dot(rows.Row(i), rows.Row(i), rows.columns);
    for (uint64_t j = 0; j < i; ++j) {
      const double dot = kernels::Dot(rows.Row(i), rows.Row(j), rows.columns);
      products += dot * dot;
    }
  }
  const double n = static_cast<double>(rows.rows);
  const double mean_norm = norms / n;
  const double mean_product = products / (n * (n - 1) / 2);
  return mean_product > 0 ? mean_norm * mean_norm / mean_product : HUGE_VAL;
}

std::vector<double> EnergyByDirection(const TallMatrix& rows) {
  const uint64_t n = rows.rows;
  std::vector<double> gram(n * n);
  for (uint64_t i = 0; i < n; ++i) {
    for (uint64_t j = i; j < n; ++j) {
      gram[i * n + j] = kernels::Dot(rows.Row(i), rows.Row(j), rows.columns);
    }
  }
  return kernels::SymmetricEigen(std::move(gram), n, false).values;
}

std::optional<uint64_t> RankOf(const std::vector<double>& energy, uint64_t most) {
  double all = 0;
  for (double e : energy) all += std::max(e, 0.0);
  double left = all;
  std::optional<uint64_t> edge;
  for (uint64_t k = 1; k <= most && k < energy.size(); ++k) {
    left -= std::max(energy[k - 1], 0.0);
    const bool sharp = energy[k - 1] >= kEdge * energy[k] && left <= kMuch * all;
    if (sharp && !edge) edge = k;
    // The edge of the signal may come later than where little is left.
    if (sharp && left <= kLittle * all) return k;
  }
  if (edge) return edge;
  left = all;
  for (uint64_t k = 1; k <= most && k < energy.size(); ++k) {
    left -= std::max(energy[k - 1], 0.0);
    if (left <= kLittle * all) return k;
  }
  return std::nullopt;
}

}  // namespace

Result<std::optional<uint64_t>> GuessRank(const RowPairs& pairs, uint64_t max_rank) {
  const uint64_t side = std::min<uint64_t>(pairs.rows(), pairs.columns());
  const uint64_t few = std::min(kFewRows, pairs.rows());
  if (max_rank == 0 || few < 2) return std::optional<uint64_t>();
  SIGNUM_ASSIGN(const TallMatrix sample, SampleRows(pairs, few));
  if (Directions(sample) > kSpread * static_cast<double>(max_rank))
    return std::optional<uint64_t>();
  SIGNUM_ASSIGN(const TallMatrix rows, SampleRows(pairs, std::min(kManyRows, pairs.rows())));
  const uint64_t most = std::min({max_rank, rows.rows / 2, side});
  return RankOf(EnergyByDirection(rows), most);
}

}  // namespace signum
