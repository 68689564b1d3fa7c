#include "gpu/rebuilt_matrix.h"

#include <algorithm>
#include <cstring>

#include "gpu/kernels/convert.h"
#include "gpu/kernels/reconstruct.h"
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

Result<Scales> Scales::Open(const DeltaReader& delta, const TensorInfo& info,
                            const SignPlane& plane) {
  if (plane.scale != nullptr) {
    SIGNUM_TRY(CheckPart(plane.scale->info.bytes() == sizeof(float), info, "its scale"));
    return Scales(delta.OpenPart(*plane.scale), nullptr);
  }
  const auto fits = [](const SafetensorsEntry* part, uint64_t n) {
    return part != nullptr && part->info.bytes() == n * sizeof(float);
  };
  SIGNUM_TRY(CheckPart(fits(plane.row_scale, info.shape[0]), info, "its row scale"));
  if (plane.col_scale == nullptr) return Scales(delta.OpenPart(*plane.row_scale), nullptr);
  SIGNUM_TRY(CheckPart(fits(plane.col_scale, info.shape[1]), info, "its column scale"));
  return Scales(delta.OpenPart(*plane.row_scale), delta.OpenPart(*plane.col_scale));
}

Result<Scales::Values> Scales::Read() const {
  Values values;
  SIGNUM_ASSIGN(values.row, ReadValues<float>(*row_));
  if (col_ != nullptr) {
    SIGNUM_ASSIGN(values.col, ReadValues<float>(*col_));
  }
  return values;
}

Result<std::vector<PlaneSource>> OpenPlanes(const DeltaReader& delta, const TensorInfo& info) {
  std::vector<PlaneSource> planes;
  for (const SignPlane& plane : FindPlanes(delta, info.name).planes) {
    SIGNUM_ASSIGN(Scales scales, Scales::Open(delta, info, plane));
    planes.push_back({delta.OpenPart(*plane.sign), std::move(scales)});
  }
  SIGNUM_TRY(CheckPart(!planes.empty(), info, "its sign"));
  return planes;
}

Result<std::vector<Scales::Values>> ReadScales(const std::vector<PlaneSource>& planes) {
  std::vector<Scales::Values> all;
  for (const PlaneSource& plane : planes) {
    SIGNUM_ASSIGN(Scales::Values values, plane.scales.Read());
    all.push_back(std::move(values));
  }
  return all;
}

void ReconstructPlanes(kernels::ConstRow base, const RowPlanes& bits,
                       const std::vector<Scales::Values>& scales, uint64_t row, uint64_t column,
                       uint64_t count, kernels::MutableRow to) {
  const auto how = [&](size_t plane) {
    return kernels::SignScales{bits.sign[plane], bits.mask, scales[plane].Row(row),
                               scales[plane].Col(column)};
  };
  if (scales.size() == 1) return kernels::ReconstructRow(base, how(0), count, to);
  std::vector<float> values(count);
  kernels::ToFloat(base, count, values.data());
  for (size_t plane = 0; plane < scales.size(); ++plane) {
    kernels::ReconstructRow({kernels::Element::kF32, values.data()}, how(plane), count,
                            {kernels::Element::kF32, values.data()});
  }
  kernels::FromFloat(values.data(), count, to);
}

}  // namespace signum
