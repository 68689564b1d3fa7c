#include "gpu/plane_scale.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "gpu/delta_rows.h"

namespace signum {
namespace {

constexpr uint64_t kSampledRows = 32;
// The best first scale for normal differences rises about so with the planes; real ones have longer
// tails, seldom shorter ones.
constexpr double kNormalAtTwo = 1.25, kNormalStep = 0.2;
constexpr int kLowest = -4, kHighest = 16;  // eighths of an octave around it
constexpr std::array<double, 8> kEighths{1, 1.0905, 1.1892, 1.2968, 1.4142, 1.5422, 1.6818, 1.834};

// Σ of what a quantizer of levels ±step/2, ±3/2 step … up to `most` leaves.
double Left(const std::vector<float>& ratio, const std::vector<float>& weight, double step,
            double most) {
  double sum = 0;
  for (size_t i = 0; i < ratio.size(); ++i) {
    const auto u = static_cast<double>(ratio[i]);
    const double level = std::min((std::floor(u / step) + 0.5) * step, most);
    sum += static_cast<double>(weight[i]) * (u - level) * (u - level);
  }
  return sum;
}

}  // namespace

PlaneScales PlaneScales::Times(float factor) const {
  PlaneScales out = *this;
  for (float& r : out.row) r *= factor;
  return out;
}

Result<PlaneSample> PlaneSample::Take(const RowPairs& pairs, const PlaneScales& scales,
                                      bool changed_only) {
  PlaneSample sample;
  DeltaRowReader reader(pairs);
  std::vector<float> scale(pairs.columns());
  const uint64_t count = std::min(kSampledRows, pairs.rows());
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t row = (2 * i + 1) * pairs.rows() / (2 * count);
    SIGNUM_ASSIGN(const std::vector<float>* delta, reader.Read(row));
    for (size_t j = 0; j < scale.size(); ++j) scale[j] = scales.At(row, j);
    sample.AddRow(*delta, scale, changed_only);
  }
  return sample;
}

void PlaneSample::AddRow(const std::vector<float>& delta, const std::vector<float>& scale,
                         bool changed_only) {
  for (size_t j = 0; j < delta.size(); ++j) {
    if (!(scale[j] > 0) || (changed_only && delta[j] == 0)) continue;
    ratio_.push_back(std::fabs(delta[j]) / scale[j]);
    weight_.push_back(scale[j] * scale[j]);
  }
}

float PlaneSample::FirstScale(int planes) const {
  if (planes == 1) return 1;
  const double normal = kNormalAtTwo + kNormalStep * (planes - 2);
  const double last = std::ldexp(1.0, 1 - planes);
  double best = HUGE_VAL;
  float chosen = static_cast<float>(normal);
  for (int eighth = kLowest; eighth <= kHighest; ++eighth) {
    const double first =
        normal * std::ldexp(kEighths[static_cast<size_t>(eighth & 7)], eighth >> 3);
    const double left = Left(ratio_, weight_, 2 * first * last, first * (2 - last));
    if (left < best) {
      best = left;
      chosen = static_cast<float>(first);
    }
  }
  return chosen;
}

}  // namespace signum
