#include <array>
#include <cmath>

#include "gpu/delta_rows.h"
#include "gpu/encode.h"
#include "gpu/kernels/row_matrix.h"

namespace signum {
namespace {

struct Slot {
  FloatRow row;
  std::vector<float> value;
  std::vector<std::byte> rounded;
  std::vector<double> errors;  // a row and number of planes
};

// The first scales of 1 … kMaxPlanes planes.
std::array<float, kMaxPlanes> FirstScales(const PlaneSample& sample) {
  std::array<float, kMaxPlanes> first{};
  for (int planes = 1; planes <= kMaxPlanes; ++planes) {
    first[static_cast<size_t>(planes) - 1] = sample.FirstScale(planes);
  }
  return first;
}

// Adds one plane as it is written and rebuilt: the sign of what is left, in float32.
void AddPlane(const FloatRow& row, float row_scale, const std::vector<float>& col, bool sparse,
              std::vector<float>& value) {
  for (size_t j = 0; j < value.size(); ++j) {
    const float s = col.empty() ? row_scale : row_scale * col[j];
    const float moved = row.fine[j] - value[j] > 0 ? value[j] + s : value[j] - s;
    value[j] = sparse && row.delta[j] == 0 ? value[j] : moved;
  }
}

// What is left of a row with so many planes from this first scale on.
double Left(Slot& slot, kernels::Element type, float first, int planes,
            const std::vector<float>& col, bool sparse) {
  const size_t k = slot.row.base.size();
  slot.value = slot.row.base;
  for (int p = 0; p < planes; ++p) {
    AddPlane(slot.row, first, col, sparse, slot.value);
    first *= 0.5F;
  }
  slot.rounded.resize(k * kernels::ElementBytes(type));
  kernels::FromFloat(slot.value.data(), k, {type, slot.rounded.data()});
  kernels::ToFloat({type, slot.rounded.data()}, k, slot.value.data());
  return kernels::SquaredDistance(slot.row.fine.data(), slot.value.data(), k);
}

// Over rows [block.first + r for which wanted(row, place)], each with its scale.
Result<std::vector<double>> Sum(const EncodeContext& context, const RowPairs& pairs,
                                const PlaneScales& scales, const PlaneSample& sample, bool sparse,
                                const std::vector<int32_t>* rows) {
  const auto first = FirstScales(sample);
  std::vector<double> errors(kMaxPlanes);
  const auto compute = [&](const RowBlock& block, Slot& slot) {
    slot.errors.clear();
    for (uint64_t r = 0; r < block.rows; ++r) {
      uint64_t place = block.first + r;
      if (rows != nullptr) {
        const auto at = std::lower_bound(rows->begin(), rows->end(), static_cast<int64_t>(place));
        if (at == rows->end() || static_cast<uint64_t>(*at) != place) continue;
        place = static_cast<uint64_t>(at - rows->begin());
      }
      slot.row.Load(block, r);
      for (int planes = 1; planes <= kMaxPlanes; ++planes) {
        const float scale = scales.Row(place) * first[static_cast<size_t>(planes) - 1];
        slot.errors.push_back(Left(slot, pairs.fine_type(), scale, planes, scales.col, sparse));
      }
    }
  };
  const auto commit = [&](const RowBlock&, Slot& slot) -> Result<void> {
    for (size_t i = 0; i < slot.errors.size(); ++i) errors[i % errors.size()] += slot.errors[i];
    return {};
  };
  SIGNUM_TRY(ForRowBlocks<Slot>(context, pairs, compute, commit));
  return errors;
}

}  // namespace

Result<std::vector<double>> SignErrors(const EncodeContext& context, const EncodeInput& input,
                                       const RowPairs& pairs, const Survey& survey, bool sparse) {
  SIGNUM_ASSIGN(const auto writer, DeltaWriter::Create(context.trial));
  const EncodeContext trial{*writer, context.options, context.progress, 1, context.trial};
  SIGNUM_ASSIGN(const PlaneScales scales, FitLinear(trial, input, pairs, survey, sparse));
  SIGNUM_ASSIGN(const PlaneSample sample, PlaneSample::Take(pairs, scales, sparse));
  return Sum(trial, pairs, scales, sample, sparse, nullptr);
}

Result<std::vector<double>> RowErrors(const EncodeContext& context, const RowPairs& pairs,
                                      const Survey& survey) {
  SIGNUM_ASSIGN(const RowScales found, FitRows(context, pairs, survey));
  return Sum(context, pairs, {found.scales, {}}, found.sample, false, &survey.changed_rows);
}

}  // namespace signum
