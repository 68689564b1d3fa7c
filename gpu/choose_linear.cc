#include "gpu/codec_parts.h"
#include "gpu/delta_rows.h"
#include "gpu/encode.h"
#include "gpu/kernels/row_matrix.h"
#include "gpu/lowrank.h"

namespace signum {
namespace {

// How much less than signs factors must leave: signs' scales are trained afterwards, factors are
// not. A merged LoRA leaves next to nothing. No more will do where the bytes are few.
constexpr double kClearly = 0.5;
constexpr uint64_t kFarSmaller = 4;
// Of the energy: where signs are exact as well (a rank of 1 is scales of rows and columns).
constexpr double kNothing = 1e-6;

struct Signs {
  uint64_t bytes = 0;
  double error = 0;
};

// What signs would take and leave: encoded beside the delta, measured and dropped.
Result<Signs> TrySigns(const EncodeContext& context, const EncodeInput& input,
                       const RowPairs& pairs, const Survey& survey, bool sparse) {
  SIGNUM_ASSIGN(const auto writer, DeltaWriter::Create(context.trial));
  const EncodeContext trial{*writer, context.options, context.progress, context.planes,
                            context.trial};
  SIGNUM_ASSIGN(const Encoded encoded, EncodeLinear(trial, input, pairs, survey, sparse));
  SIGNUM_ASSIGN(auto rebuilt, OpenWritten(trial, input.info, pairs, sparse, trial.planes));
  SIGNUM_ASSIGN(const double error, SquaredError(trial, pairs, std::move(rebuilt)));
  return Signs{encoded.bytes, error};
}

// Factors that take less than the signs would and clearly leave less; any factors where lowrank
// was asked for.
Result<std::optional<LowrankFactors>> BetterFactors(const EncodeContext& context,
                                                    const EncodeInput& input, const RowPairs& pairs,
                                                    const Survey& survey, bool sparse) {
  const bool asked = context.options.codec == Codec::kLowrank;
  CompressOptions options = context.options;
  options.planes = context.planes;
  const uint64_t changed = input.info.elements() - survey.zeros;
  const uint64_t bytes =
      BytesOf(sparse ? SparseParts(input.info, changed, options) : Sign1Parts(input.info, options));
  const uint64_t highest = HighestRank(input.info, bytes);
  if (highest == 0) return std::optional<LowrankFactors>();
  SIGNUM_ASSIGN(std::optional<uint64_t> guess, GuessRank(pairs, highest));
  if (!guess && asked) guess = highest;
  if (!guess) return std::optional<LowrankFactors>();
  SIGNUM_ASSIGN(auto factors, FindFactors(context, input.info, pairs, {*guess, highest, asked}));
  if (!factors || asked) return factors;
  SIGNUM_ASSIGN(const Signs signs, TrySigns(context, input, pairs, survey, sparse));
  const bool tiny =
      kFarSmaller * BytesOf(LowrankParts(input.info, factors->rank, factors->dtype, true)) <=
      signs.bytes;
  const double most = std::max((tiny ? 1.0 : kClearly) * signs.error, kNothing * factors->energy);
  if (factors->error <= most) return factors;
  return std::optional<LowrankFactors>();
}

}  // namespace

bool IsSparse(const Survey& survey, uint64_t elements) {
  return survey.zeros >= elements - survey.zeros;
}

Result<double> SumOfSquares(const EncodeContext& context, const RowPairs& pairs) {
  struct Slot {
    FloatRow row;
    std::vector<double> sums;
  };
  double all = 0;
  const auto compute = [](const RowBlock& block, Slot& slot) {
    slot.sums.resize(block.rows);
    for (uint64_t r = 0; r < block.rows; ++r) {
      slot.row.Load(block, r);
      slot.sums[r] =
          kernels::SquaredDistance(slot.row.fine.data(), slot.row.base.data(), block.columns);
    }
  };
  const auto commit = [&](const RowBlock&, Slot& slot) -> Result<void> {
    for (double sum : slot.sums) all += sum;
    return {};
  };
  SIGNUM_TRY(ForRowBlocks<Slot>(context, pairs, compute, commit));
  return all;
}

Result<double> SquaredError(const EncodeContext& context, const RowPairs& pairs,
                            std::shared_ptr<const ByteSource> rebuilt) {
  return SumOfSquares(context, pairs.WithBase({std::move(rebuilt), pairs.fine_type()}));
}

Result<Encoded> EncodeBestLinear(const EncodeContext& context, const EncodeInput& input,
                                 const RowPairs& pairs, const Survey& survey) {
  const Codec codec = context.options.codec;
  const bool sparse = codec == Codec::kSign1Sparse || IsSparse(survey, input.info.elements());
  if (codec != Codec::kSign1Sparse) {
    SIGNUM_ASSIGN(const auto factors, BetterFactors(context, input, pairs, survey, sparse));
    if (factors) return EncodeLowrank(context, input.info, *factors);
  }
  return EncodeLinear(context, input, pairs, survey, sparse);
}

}  // namespace signum
