#include <numeric>

#include "gpu/encode.h"
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
};

void PackChanged(const RowBlock& block, const std::vector<int32_t>& rows, Slot& slot) {
  const auto changed = ChangedIn(block, rows);
  const size_t row_bytes = BitBytes(block.columns);
  slot.bytes.resize(changed.size() * row_bytes);
  slot.scales.resize(changed.size());
  for (size_t i = 0; i < changed.size(); ++i) {
    const uint64_t r = static_cast<uint64_t>(changed[i]) - block.first;
    const kernels::RowStats stats = kernels::SignPackRow(
        block.Base(r), block.Fine(r), block.columns, slot.bytes.data() + i * row_bytes, nullptr);
    slot.scales[i] = static_cast<float>(stats.sum_abs / static_cast<double>(block.columns));
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

Result<Encoded> EncodeRows(const EncodeContext& context, const EncodeInput& input,
                           const RowPairs& pairs, const Survey& survey) {
  const std::string& name = input.info.name;
  const std::vector<int32_t>& changed = survey.changed_rows;
  const bool exact = context.options.exact_embeddings;
  const uint64_t all_rows = input.info.shape[0];
  const uint64_t grown = all_rows - pairs.rows();
  PartWriter parts(context.writer);
  context.progress.ExpectPasses(2);

  std::vector<int32_t> listed = changed;
  listed.resize(changed.size() + grown);
  std::iota(listed.end() - static_cast<ptrdiff_t>(grown), listed.end(),
            static_cast<int32_t>(pairs.rows()));
  SIGNUM_TRY(parts.Add(RowsName(name), Dtype::kI32, listed));

  const auto compute = [&](const RowBlock& block, Slot& slot) {
    exact ? CopyChanged(block, changed, slot) : PackChanged(block, changed, slot);
  };
  std::vector<float> scales;
  const auto commit = [&](const RowBlock&, Slot& slot) -> Result<void> {
    scales.insert(scales.end(), slot.scales.begin(), slot.scales.end());
    return parts.Append(slot.bytes);
  };
  if (!exact && !changed.empty()) {
    SIGNUM_TRY(
        parts.Begin(SignName(name), Dtype::kU8, {changed.size(), BitBytes(pairs.columns())}));
    SIGNUM_TRY(ForRowBlocks<Slot>(context, pairs, compute, commit));
    SIGNUM_TRY(parts.Add(RowScaleName(name), Dtype::kF32, scales));
  }
  const uint64_t values = grown + (exact ? changed.size() : 0);
  if (values > 0) {
    SIGNUM_TRY(parts.Begin(ValuesName(name), input.info.dtype, {values, pairs.columns()}));
    if (exact) SIGNUM_TRY(ForRowBlocks<Slot>(context, pairs, compute, commit));
    const uint64_t kept = pairs.rows() * pairs.columns() * DtypeSize(input.info.dtype);
    SIGNUM_TRY(parts.Copy(*input.fine, kept, context.progress));
  }
  return Encoded{Codec::kRows, parts.bytes()};
}

}  // namespace signum
