#include "gpu/rebuilt_matrix.h"

#include <algorithm>
#include <cstring>

#include "storage/base/name.h"

namespace signum {
namespace {

constexpr uint64_t kWindow = uint64_t{1} << 17;  // elements rebuilt at once

}  // namespace

Result<void> CheckPart(bool holds, const TensorInfo& info, std::string_view what) {
  if (holds) return {};
  return Fail(Errc::kCorrupt, "bad_part",
              "weight '" + Printable(info.name) + "' (" + info.Describe() +
                  "): " + std::string(what) + " does not fit it");
}

Result<void> RebuiltMatrix::Read(uint64_t offset, MutableBytes out) const {
  SIGNUM_TRY(CheckRange(offset, out.size(), size()));
  const uint64_t width = kernels::ElementBytes(type_);
  std::vector<std::byte> window;
  while (!out.empty()) {
    const uint64_t element = offset / width;
    const uint64_t column = element % columns_ / 8 * 8;
    const uint64_t begin = element / columns_ * columns_ + column;
    const uint64_t end = (offset + out.size() + width - 1) / width;
    const Run run{element / columns_, column, std::min(end - begin, kWindow)};
    const uint64_t skip = offset - begin * width;
    const uint64_t take = std::min<uint64_t>(run.n * width - skip, out.size());
    if (take == run.n * width) {
      SIGNUM_TRY(Rebuild(run, out.data()));
    } else {
      window.resize(run.n * width);
      SIGNUM_TRY(Rebuild(run, window.data()));
      std::memcpy(out.data(), window.data() + skip, take);
    }
    out = out.subspan(take);
    offset += take;
  }
  return {};
}

Result<void> RebuiltMatrix::ForRows(const Run& run, const RowVisitor& visit) const {
  uint64_t row = run.row;
  uint64_t column = run.column;
  for (uint64_t done = 0; done < run.n;) {
    const uint64_t count = std::min(columns_ - column, run.n - done);
    SIGNUM_TRY(visit(row, column, count, done));
    done += count;
    ++row;
    column = 0;
  }
  return {};
}

uint64_t RebuiltMatrix::BitsEnd(const Run& run) const {
  const uint64_t last = run.row * columns_ + run.column + run.n - 1;
  return BitsBegin(last / columns_, last % columns_) + 1;
}

Result<Scales> Scales::Open(const DeltaReader& delta, const TensorInfo& info) {
  Scales scales;
  if (const SafetensorsEntry* one = delta.FindPart(ScaleName(info.name)); one != nullptr) {
    scales.row_ = delta.OpenPart(*one);
    SIGNUM_TRY(CheckPart(scales.row_->size() == sizeof(float), info, "its scale"));
    return scales;
  }
  const SafetensorsEntry* row = delta.FindPart(RowScaleName(info.name));
  SIGNUM_TRY(CheckPart(row != nullptr && row->info.bytes() == info.shape[0] * sizeof(float), info,
                       "its row scale"));
  scales.row_ = delta.OpenPart(*row);
  if (const SafetensorsEntry* col = delta.FindPart(ColScaleName(info.name)); col != nullptr) {
    scales.col_ = delta.OpenPart(*col);
    SIGNUM_TRY(
        CheckPart(scales.col_->size() == info.shape[1] * sizeof(float), info, "its column scale"));
  }
  return scales;
}

Result<Scales::Values> Scales::Read() const {
  Values values;
  SIGNUM_ASSIGN(values.row, ReadValues<float>(*row_));
  if (col_ != nullptr) {
    SIGNUM_ASSIGN(values.col, ReadValues<float>(*col_));
  }
  return values;
}

}  // namespace signum
