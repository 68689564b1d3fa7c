#include "gpu/encode.h"
#include "gpu/kernels/bits.h"
#include "gpu/kernels/lanes.h"
#include "gpu/kernels/row_col_fit.h"
#include "gpu/kernels/sign_pack.h"

namespace signum {
namespace {

using kernels::BitBytes;
using kernels::kGroupRows;
using kernels::RowColFit;
using kernels::RowStats;

// What a thread makes of a block.
struct Slot {
  std::vector<uint8_t> sign, mask;  // of the block's rows
  std::vector<RowStats> stats;      // a row
  std::vector<float> dot, norm;     // column sums, a group of kGroupRows rows
  std::vector<uint8_t> packed;      // signs of changed weights
  uint64_t packed_bits = 0;
};

class LinearEncoder {
 public:
  LinearEncoder(const EncodeContext& context, const EncodeInput& input, const RowPairs& pairs,
                const Survey& survey, bool sparse)
      : context_(context),
        name_(input.info.name),
        pairs_(pairs),
        sparse_(sparse),
        kind_(context.options.scales),
        row_bytes_(BitBytes(pairs.columns())),
        elements_(pairs.rows() * pairs.columns()),
        changed_(elements_ - survey.zeros),
        parts_(context.writer),
        fit_(kind_ == ScaleKind::kRowCol ? pairs.rows() : 0,
             kind_ == ScaleKind::kRowCol ? pairs.columns() : 0, sparse,
             survey.sum_abs / static_cast<double>(std::max<uint64_t>(Counted(), 1))),
        row_scales_(kind_ == ScaleKind::kRow ? pairs.rows() : 0) {}

  Result<Encoded> Run() {
    const bool fits = kind_ == ScaleKind::kRowCol;
    context_.progress.ExpectPasses((fits ? 1 + kernels::kFitPasses : 2) + (sparse_ ? 1 : 0));
    SIGNUM_TRY(parts_.Begin(sparse_ ? MaskName(name_) : SignName(name_), Dtype::kU8,
                            {pairs_.rows(), row_bytes_}));
    SIGNUM_TRY(BitPass());
    for (int pass = 1; fits && pass < kernels::kFitPasses; ++pass) SIGNUM_TRY(FitPass());
    if (sparse_) SIGNUM_TRY(PackedPass());
    SIGNUM_TRY(WriteScales());
    return Encoded{sparse_ ? Codec::kSign1Sparse : Codec::kSign1, parts_.bytes()};
  }

 private:
  // How many weights a tensor scale is the mean of.
  uint64_t Counted() const { return sparse_ ? changed_ : elements_; }

  // Writes the signs, or the mask, and takes the first step of the scales.
  Result<void> BitPass() {
    const bool fits = kind_ == ScaleKind::kRowCol;
    if (fits) fit_.BeginPass();
    const auto compute = [&](const RowBlock& block, Slot& slot) {
      Pack(block, slot);
      if (fits) Fit(block, slot);
    };
    const auto commit = [&](const RowBlock& block, Slot& slot) -> Result<void> {
      SIGNUM_TRY(parts_.Append(sparse_ ? slot.mask : slot.sign));
      for (uint64_t r = 0; r < block.rows; ++r) TakeStats(block.first + r, slot.stats[r]);
      if (fits) CommitFit(block, slot);
      return {};
    };
    SIGNUM_TRY(ForRowBlocks<Slot>(context_, pairs_, compute, commit));
    if (fits) fit_.EndPass();
    return {};
  }

  Result<void> FitPass() {
    fit_.BeginPass();
    const auto compute = [&](const RowBlock& block, Slot& slot) { Fit(block, slot); };
    const auto commit = [&](const RowBlock& block, Slot& slot) -> Result<void> {
      CommitFit(block, slot);
      return {};
    };
    SIGNUM_TRY(ForRowBlocks<Slot>(context_, pairs_, compute, commit));
    fit_.EndPass();
    return {};
  }

  // The signs of changed weights, one after another without regard to rows.
  Result<void> PackedPass() {
    SIGNUM_TRY(parts_.Begin(SignName(name_), Dtype::kU8, {BitBytes(changed_)}));
    std::vector<uint8_t> out;
    uint64_t pending = 0;  // bits in out that do not fill a byte yet
    const auto compute = [&](const RowBlock& block, Slot& slot) {
      Pack(block, slot);
      Gather(block, slot);
    };
    const auto commit = [&](const RowBlock&, Slot& slot) -> Result<void> {
      const uint8_t carry = pending > 0 ? out.front() : uint8_t{0};
      out.assign(BitBytes(pending + slot.packed_bits) + 1, 0);
      out.front() = carry;
      kernels::CopyBits(slot.packed.data(), slot.packed_bits, out.data(), pending);
      pending += slot.packed_bits;
      const uint64_t whole = pending / 8;
      SIGNUM_TRY(parts_.Append(std::as_bytes(std::span(out)).first(whole)));
      out.front() = out[whole];
      pending %= 8;
      return {};
    };
    SIGNUM_TRY(ForRowBlocks<Slot>(context_, pairs_, compute, commit));
    if (pending == 0) return {};
    return parts_.Append(std::as_bytes(std::span(out)).first(1));
  }

  void Pack(const RowBlock& block, Slot& slot) const {
    slot.sign.resize(block.rows * row_bytes_);
    slot.mask.resize(sparse_ ? slot.sign.size() : 0);
    slot.stats.resize(block.rows);
    for (uint64_t r = 0; r < block.rows; ++r) {
      slot.stats[r] = kernels::SignPackRow(block.Base(r), block.Fine(r), block.columns,
                                           slot.sign.data() + r * row_bytes_,
                                           sparse_ ? slot.mask.data() + r * row_bytes_ : nullptr);
    }
  }

  void Gather(const RowBlock& block, Slot& slot) const {
    slot.packed.assign(slot.sign.size() + 1, 0);
    slot.packed_bits = 0;
    for (uint64_t r = 0; r < block.rows; ++r) {
      slot.packed_bits =
          kernels::GatherBits(slot.sign.data() + r * row_bytes_, slot.mask.data() + r * row_bytes_,
                              block.columns, slot.packed.data(), slot.packed_bits);
    }
  }

  void Fit(const RowBlock& block, Slot& slot) {
    const uint64_t groups = (block.rows + kGroupRows - 1) / kGroupRows;
    slot.dot.resize(groups * block.columns);
    slot.norm.resize(sparse_ ? slot.dot.size() : 0);
    for (uint64_t g = 0; g < groups; ++g) {
      const uint64_t first = g * kGroupRows;
      fit_.FitRows(block.Base(first), block.Fine(first), block.first + first,
                   std::min<uint64_t>(kGroupRows, block.rows - first),
                   slot.dot.data() + g * block.columns,
                   sparse_ ? slot.norm.data() + g * block.columns : nullptr);
    }
  }

  void CommitFit(const RowBlock& block, const Slot& slot) {
    for (size_t at = 0; at < slot.dot.size(); at += block.columns) {
      fit_.Commit(slot.dot.data() + at, sparse_ ? slot.norm.data() + at : nullptr);
    }
  }

  void TakeStats(uint64_t row, const RowStats& stats) {
    sum_abs_ += stats.sum_abs;
    if (kind_ != ScaleKind::kRow) return;
    const uint64_t count = sparse_ ? pairs_.columns() - stats.zeros : pairs_.columns();
    row_scales_[row] = Mean(stats.sum_abs, count);
  }

  static float Mean(double sum, uint64_t count) {
    return count == 0 ? 0.0F : static_cast<float>(sum / static_cast<double>(count));
  }

  Result<void> WriteScales() {
    switch (kind_) {
      case ScaleKind::kTensor:
        return parts_.Add(ScaleName(name_), Dtype::kF32,
                          std::vector<float>{Mean(sum_abs_, Counted())});
      case ScaleKind::kRow:
        return parts_.Add(RowScaleName(name_), Dtype::kF32, row_scales_);
      case ScaleKind::kRowCol:
        break;
    }
    fit_.Finish();
    SIGNUM_TRY(parts_.Add(RowScaleName(name_), Dtype::kF32, fit_.row_scales()));
    return parts_.Add(ColScaleName(name_), Dtype::kF32, fit_.col_scales());
  }

  const EncodeContext& context_;
  const std::string& name_;
  const RowPairs& pairs_;
  const bool sparse_;
  const ScaleKind kind_;
  const uint64_t row_bytes_;
  const uint64_t elements_;
  const uint64_t changed_;
  PartWriter parts_;
  RowColFit fit_;
  std::vector<float> row_scales_;
  double sum_abs_ = 0;
};

}  // namespace

Result<Encoded> EncodeLinear(const EncodeContext& context, const EncodeInput& input,
                             const RowPairs& pairs, const Survey& survey, bool sparse) {
  return LinearEncoder(context, input, pairs, survey, sparse).Run();
}

}  // namespace signum
