#include "gpu/encode.h"
#include "gpu/kernels/bits.h"
#include "gpu/kernels/lanes.h"
#include "gpu/kernels/row_col_fit.h"
#include "gpu/kernels/sign_pack.h"
#include "gpu/rebuilt_matrix.h"

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

// One plane of one weight.
struct PlaneInput {
  const RowPairs& pairs;  // what it is to add up to, over what the planes before give
  int plane = 0;
  bool sparse = false;
  std::shared_ptr<const ByteSource> mask;  // sparse, plane > 0
  uint64_t changed = 0;                    // weights that have a sign
  double sum_abs = 0;                      // plane 0: Σ|Δ|
};

class PlaneEncoder {
 public:
  PlaneEncoder(const EncodeContext& context, const std::string& name, const PlaneInput& input)
      : context_(context),
        name_(name),
        input_(input),
        pairs_(input.pairs),
        sparse_(input.sparse),
        kind_(context.options.scales),
        fits_(input.plane == 0 && kind_ == ScaleKind::kRowCol),
        row_bytes_(BitBytes(pairs_.columns())),
        parts_(context.writer),
        fit_(fits_ ? pairs_.rows() : 0, fits_ ? pairs_.columns() : 0, sparse_,
             input.sum_abs / static_cast<double>(std::max<uint64_t>(input.changed, 1))),
        row_scales_(input.plane == 0 && kind_ == ScaleKind::kRow ? pairs_.rows() : 0) {}

  // Writes the signs, and the mask with plane 0's.
  Result<void> Signs() {
    const bool only_packed = sparse_ && input_.mask != nullptr;
    if (!only_packed) SIGNUM_TRY(BitPass());
    for (int pass = 1; fits_ && pass < kernels::kFitPasses; ++pass) SIGNUM_TRY(FitPass());
    return sparse_ ? PackedPass() : Result<void>();
  }

  // The least-squares scales that plane 0's passes have found.
  PlaneScales Fitted() {
    switch (kind_) {
      case ScaleKind::kTensor:
        return {{Mean(sum_abs_, input_.changed)}, {}};
      case ScaleKind::kRow:
        return {row_scales_, {}};
      case ScaleKind::kRowCol:
        break;
    }
    fit_.Finish();
    return {fit_.row_scales(), fit_.col_scales()};
  }

  Result<void> Write(const PlaneScales& scales) {
    const bool tensor = kind_ == ScaleKind::kTensor;
    SIGNUM_TRY(
        parts_.Add(tensor ? ScaleName(name_, input_.plane) : RowScaleName(name_, input_.plane),
                   Dtype::kF32, scales.row));
    if (scales.col.empty()) return {};
    return parts_.Add(ColScaleName(name_, input_.plane), Dtype::kF32, scales.col);
  }

  uint64_t bytes() const { return parts_.bytes(); }

 private:
  // Writes the signs, or the mask, and takes the first step of the scales.
  Result<void> BitPass() {
    SIGNUM_TRY(parts_.Begin(sparse_ ? MaskName(name_) : SignName(name_, input_.plane), Dtype::kU8,
                            {pairs_.rows(), row_bytes_}));
    if (fits_) fit_.BeginPass();
    const auto compute = [&](const RowBlock& block, Slot& slot) -> Result<void> {
      SIGNUM_TRY(Pack(block, slot));
      if (fits_) Fit(block, slot);
      return {};
    };
    const auto commit = [&](const RowBlock& block, Slot& slot) -> Result<void> {
      SIGNUM_TRY(parts_.Append(sparse_ ? slot.mask : slot.sign));
      for (uint64_t r = 0; r < block.rows; ++r) TakeStats(block.first + r, slot.stats[r]);
      if (fits_) CommitFit(block, slot);
      return {};
    };
    SIGNUM_TRY(ForRowBlocks<Slot>(context_, pairs_, compute, commit));
    if (fits_) fit_.EndPass();
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
    SIGNUM_TRY(parts_.Begin(SignName(name_, input_.plane), Dtype::kU8, {BitBytes(input_.changed)}));
    std::vector<uint8_t> out;
    uint64_t pending = 0;  // bits in out that do not fill a byte yet
    const auto compute = [&](const RowBlock& block, Slot& slot) -> Result<void> {
      SIGNUM_TRY(Pack(block, slot));
      Gather(block, slot);
      return {};
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

  Result<void> Pack(const RowBlock& block, Slot& slot) const {
    slot.sign.resize(block.rows * row_bytes_);
    slot.mask.resize(sparse_ ? slot.sign.size() : 0);
    slot.stats.resize(block.rows);
    const bool own_mask = sparse_ && input_.mask == nullptr;
    if (input_.mask != nullptr) SIGNUM_TRY(ReadMask(block, slot));
    for (uint64_t r = 0; r < block.rows; ++r) {
      slot.stats[r] = kernels::SignPackRow(block.Base(r), block.Fine(r), block.columns,
                                           slot.sign.data() + r * row_bytes_,
                                           own_mask ? slot.mask.data() + r * row_bytes_ : nullptr);
    }
    return {};
  }

  Result<void> ReadMask(const RowBlock& block, Slot& slot) const {
    slot.mask.resize(block.rows * row_bytes_);
    return input_.mask->Read(block.first * row_bytes_,
                             std::as_writable_bytes(std::span(slot.mask)));
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
    if (row_scales_.empty()) return;
    const uint64_t count = sparse_ ? pairs_.columns() - stats.zeros : pairs_.columns();
    row_scales_[row] = Mean(stats.sum_abs, count);
  }

  static float Mean(double sum, uint64_t count) {
    return count == 0 ? 0.0F : static_cast<float>(sum / static_cast<double>(count));
  }

  const EncodeContext& context_;
  const std::string& name_;
  const PlaneInput& input_;
  const RowPairs& pairs_;
  const bool sparse_;
  const ScaleKind kind_;
  const bool fits_;
  const uint64_t row_bytes_;
  PartWriter parts_;
  RowColFit fit_;
  std::vector<float> row_scales_;
  double sum_abs_ = 0;
};

// A plane that is written, to be read again.
Result<PlaneSource> WrittenPlane(const EncodeContext& context, const std::string& name, int plane) {
  const DeltaWriter& writer = context.writer;
  SIGNUM_ASSIGN(auto sign, writer.Written(SignName(name, plane)));
  if (context.options.scales == ScaleKind::kTensor) {
    SIGNUM_ASSIGN(auto scale, writer.Written(ScaleName(name, plane)));
    return PlaneSource{std::move(sign), {std::move(scale), nullptr}};
  }
  SIGNUM_ASSIGN(auto row, writer.Written(RowScaleName(name, plane)));
  std::shared_ptr<const ByteSource> col;
  if (context.options.scales == ScaleKind::kRowCol) {
    SIGNUM_ASSIGN(col, writer.Written(ColScaleName(name, plane)));
  }
  return PlaneSource{std::move(sign), {std::move(row), std::move(col)}};
}

// Passes over the data, in units of a plain one.
int PassesOf(const EncodeContext& context, bool sparse) {
  const int fits = context.options.scales == ScaleKind::kRowCol ? kernels::kFitPasses : 1;
  return fits + (sparse ? 1 : 0) + context.planes - 1;
}

}  // namespace

Result<std::shared_ptr<const ByteSource>> OpenWritten(const EncodeContext& context,
                                                      const TensorInfo& info, const RowPairs& pairs,
                                                      bool sparse, int planes) {
  std::vector<PlaneSource> sources;
  for (int plane = 0; plane < planes; ++plane) {
    SIGNUM_ASSIGN(PlaneSource written, WrittenPlane(context, info.name, plane));
    sources.push_back(std::move(written));
  }
  BaseMatrix base{pairs.base().bytes, pairs.base_type(), pairs.rows()};
  if (!sparse) return MakeSign1(info, std::move(base), std::move(sources));
  SIGNUM_ASSIGN(auto mask, context.writer.Written(MaskName(info.name)));
  return MakeSparse(info, std::move(base), std::move(mask), std::move(sources));
}

Result<PlaneScales> FitLinear(const EncodeContext& context, const EncodeInput& input,
                              const RowPairs& pairs, const Survey& survey, bool sparse) {
  const uint64_t elements = pairs.rows() * pairs.columns();
  const PlaneInput plane{
      pairs, 0, sparse, nullptr, sparse ? elements - survey.zeros : elements, survey.sum_abs};
  PlaneEncoder encoder(context, input.info.name, plane);
  SIGNUM_TRY(encoder.Signs());
  return encoder.Fitted();
}

Result<Encoded> EncodeLinear(const EncodeContext& context, const EncodeInput& input,
                             const RowPairs& pairs, const Survey& survey, bool sparse) {
  const std::string& name = input.info.name;
  const uint64_t elements = pairs.rows() * pairs.columns();
  const uint64_t changed = sparse ? elements - survey.zeros : elements;
  const TensorInfo so_far{name, Dtype::kF32, input.info.shape};  // what the planes before give
  context.progress.ExpectPasses(1 + PassesOf(context, sparse));
  const PlaneInput plane{pairs, 0, sparse, nullptr, changed, survey.sum_abs};
  PlaneEncoder first(context, name, plane);
  SIGNUM_TRY(first.Signs());
  PlaneScales scales = first.Fitted();
  if (context.planes > 1) {
    SIGNUM_ASSIGN(const PlaneSample sample, PlaneSample::Take(pairs, scales, sparse));
    scales = scales.Times(sample.FirstScale(context.planes));
  }
  SIGNUM_TRY(first.Write(scales));
  Encoded encoded{sparse ? Codec::kSign1Sparse : Codec::kSign1, first.bytes()};
  for (int p = 1; p < context.planes; ++p) {
    SIGNUM_ASSIGN(auto before, OpenWritten(context, so_far, pairs, sparse, p));
    const RowPairs rest = pairs.WithBase({std::move(before), kernels::Element::kF32});
    std::shared_ptr<const ByteSource> mask;
    if (sparse) {
      SIGNUM_ASSIGN(mask, context.writer.Written(MaskName(name)));
    }
    const PlaneInput next{rest, p, sparse, mask, changed, 0};
    PlaneEncoder encoder(context, name, next);
    SIGNUM_TRY(encoder.Signs());
    scales = scales.Times(0.5F);
    SIGNUM_TRY(encoder.Write(scales));
    encoded.bytes += encoder.bytes();
  }
  return encoded;
}

}  // namespace signum
