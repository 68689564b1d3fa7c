#include <numeric>

#include "gpu/delta_rows.h"
#include "gpu/encode.h"
#include "gpu/kernels/convert.h"
#include "gpu/kernels/reconstruct.h"
#include "gpu/kernels/sign_pack.h"

namespace signum {
namespace {

using kernels::BitBytes;

// The changed rows of a block, as positions in Survey::changed_rows.
std::span<const int32_t> ChangedIn(const RowBlock& block, const std::vector<int32_t>& rows) {
  const auto begin = std::lower_bound(rows.begin(), rows.end(), static_cast<int64_t>(block.first));
  const auto end =
      std::lower_bound(begin, rows.end(), static_cast<int64_t>(block.first + block.rows));
  return {begin, end};
}

struct Slot {
  std::vector<uint8_t> bytes;  // signs, or values
  std::vector<float> scales;
  std::vector<float> so_far;  // a row that the planes before give
};

// How the changed rows' planes are scaled: plane p of row i by scales[i] · 2^-p.
struct PlaneOf {
  int plane = 0;
  const std::vector<float>* scales = nullptr;  // plane 0's; null: one plane, whose scale is mean|Δ|
};

// A plane of the changed rows. The planes before it are made again, in no memory but a row's.
void PackChanged(const RowBlock& block, const std::vector<int32_t>& rows, const PlaneOf& wanted,
                 Slot& slot) {
  const auto changed = ChangedIn(block, rows);
  const size_t row_bytes = BitBytes(block.columns);
  const size_t k = block.columns;
  slot.bytes.resize(changed.size() * row_bytes);
  slot.scales.resize(changed.size());
  slot.so_far.resize(k);
  for (size_t i = 0; i < changed.size(); ++i) {
    const uint64_t r = static_cast<uint64_t>(changed[i]) - block.first;
    uint8_t* sign = slot.bytes.data() + i * row_bytes;
    if (wanted.scales == nullptr) {
      const auto stats = kernels::SignPackRow(block.Base(r), block.Fine(r), k, sign, nullptr);
      slot.scales[i] = static_cast<float>(stats.sum_abs / static_cast<double>(k));
      continue;
    }
    const kernels::MutableRow so_far{kernels::Element::kF32, slot.so_far.data()};
    const kernels::ConstRow from{so_far.type, so_far.data};
    const auto place = static_cast<size_t>(&changed[i] - rows.data());
    kernels::ToFloat(block.Base(r), k, slot.so_far.data());
    slot.scales[i] = (*wanted.scales)[place];
    kernels::SignPackRow(from, block.Fine(r), k, sign, nullptr);
    for (int p = 1; p <= wanted.plane; ++p) {
      kernels::ReconstructRow(from, {sign, nullptr, slot.scales[i], nullptr}, k, so_far);
      slot.scales[i] *= 0.5F;
      kernels::SignPackRow(from, block.Fine(r), k, sign, nullptr);
    }
  }
}

void CopyChanged(const RowBlock& block, const std::vector<int32_t>& rows, Slot& slot) {
  const auto changed = ChangedIn(block, rows);
  const size_t row_bytes = block.columns * kernels::ElementBytes(block.fine.type);
  slot.bytes.resize(changed.size() * row_bytes);
  for (size_t i = 0; i < changed.size(); ++i) {
    const uint64_t r = static_cast<uint64_t>(changed[i]) - block.first;
    std::memcpy(slot.bytes.data() + i * row_bytes, block.Fine(r).data, row_bytes);
  }
}

}  // namespace

Result<RowScales> FitRows(const EncodeContext& context, const RowPairs& pairs,
                          const Survey& survey) {
  constexpr uint64_t kSampledRows = 32;
  const std::vector<int32_t>& changed = survey.changed_rows;
  RowScales out;
  const auto pack = [&](const RowBlock& block, Slot& slot) {
    PackChanged(block, changed, {}, slot);
  };
  const auto commit = [&](const RowBlock&, Slot& slot) -> Result<void> {
    out.scales.insert(out.scales.end(), slot.scales.begin(), slot.scales.end());
    return {};
  };
  SIGNUM_TRY(ForRowBlocks<Slot>(context, pairs, pack, commit));
  DeltaRowReader reader(pairs);
  const uint64_t count = std::min<uint64_t>(kSampledRows, changed.size());
  for (uint64_t i = 0; i < count; ++i) {
    const size_t place = (2 * i + 1) * changed.size() / (2 * count);
    SIGNUM_ASSIGN(const auto* delta, reader.Read(static_cast<uint64_t>(changed[place])));
    out.sample.AddRow(*delta, std::vector<float>(delta->size(), out.scales[place]), false);
  }
  return out;
}

Result<Encoded> EncodeRows(const EncodeContext& context, const EncodeInput& input,
                           const RowPairs& pairs, const Survey& survey) {
  const std::string& name = input.info.name;
  const std::vector<int32_t>& changed = survey.changed_rows;
  const bool exact = context.options.exact_embeddings;
  const uint64_t all_rows = input.info.shape[0];
  const uint64_t grown = all_rows - pairs.rows();
  PartWriter parts(context.writer);
  context.progress.ExpectPasses(1 + context.planes);

  std::vector<int32_t> listed = changed;
  listed.resize(changed.size() + grown);
  std::iota(listed.end() - static_cast<ptrdiff_t>(grown), listed.end(),
            static_cast<int32_t>(pairs.rows()));
  SIGNUM_TRY(parts.Add(RowsName(name), Dtype::kI32, listed));

  std::vector<float> scales;
  const auto commit = [&](const RowBlock&, Slot& slot) -> Result<void> {
    scales.insert(scales.end(), slot.scales.begin(), slot.scales.end());
    return parts.Append(slot.bytes);
  };
  std::vector<float> first;  // plane 0's scales, where there are more
  const int planes = exact || changed.empty() ? 0 : context.planes;
  if (planes > 1) {
    SIGNUM_ASSIGN(const RowScales found, FitRows(context, pairs, survey));
    first = PlaneScales{found.scales, {}}.Times(found.sample.FirstScale(planes)).row;
  }
  for (int plane = 0; plane < planes; ++plane) {
    const PlaneOf wanted{plane, planes > 1 ? &first : nullptr};
    const auto pack = [&](const RowBlock& block, Slot& slot) {
      PackChanged(block, changed, wanted, slot);
    };
    scales.clear();
    SIGNUM_TRY(parts.Begin(SignName(name, plane), Dtype::kU8,
                           {changed.size(), BitBytes(pairs.columns())}));
    SIGNUM_TRY(ForRowBlocks<Slot>(context, pairs, pack, commit));
    SIGNUM_TRY(parts.Add(RowScaleName(name, plane), Dtype::kF32, scales));
  }
  const uint64_t values = grown + (exact ? changed.size() : 0);
  if (values > 0) {
    SIGNUM_TRY(parts.Begin(ValuesName(name), input.info.dtype, {values, pairs.columns()}));
    const auto copy = [&](const RowBlock& block, Slot& slot) { CopyChanged(block, changed, slot); };
    if (exact) SIGNUM_TRY(ForRowBlocks<Slot>(context, pairs, copy, commit));
    const uint64_t kept = pairs.rows() * pairs.columns() * DtypeSize(input.info.dtype);
    SIGNUM_TRY(parts.Copy(*input.fine, kept, context.progress));
  }
  return Encoded{Codec::kRows, parts.bytes()};
}

}  // namespace signum
