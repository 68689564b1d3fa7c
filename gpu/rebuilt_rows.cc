#include <algorithm>
#include <cstring>

#include "gpu/fetch.h"
#include "gpu/kernels/convert.h"
#include "gpu/rebuilt_matrix.h"
#include "gpu/tensor_class.h"

namespace signum {
namespace {

struct RowParts {
  std::shared_ptr<const ByteSource> rows, values;                // values may be absent
  std::vector<std::shared_ptr<const ByteSource>> signs, scales;  // a plane, or none
};

class RowsMatrix final : public RebuiltMatrix {
 public:
  RowsMatrix(const TensorInfo& info, BaseMatrix base, RowParts parts)
      : RebuiltMatrix(info, *ElementOf(info.dtype)),
        base_(std::move(base)),
        info_(info),
        parts_(std::move(parts)) {}

 protected:
  Result<void> Rebuild(const Run& run, std::byte* out) const override {
    SIGNUM_ASSIGN(const Loaded* loaded, loaded_.Get([&] { return Load(); }));
    const auto visit = [&](uint64_t row, uint64_t column, uint64_t count,
                           uint64_t done) -> Result<void> {
      const kernels::MutableRow to = kernels::MutableRow{type_, out}.From(done);
      const auto at =
          std::lower_bound(loaded->rows.begin(), loaded->rows.end(), static_cast<int64_t>(row));
      const auto place = static_cast<uint64_t>(at - loaded->rows.begin());
      const bool listed = at != loaded->rows.end() && static_cast<uint64_t>(*at) == row;
      if (listed && place >= loaded->with_sign) {
        return CopyValues(place - loaded->with_sign, column, count, to);
      }
      return listed ? WithSigns(loaded->scales, place, row, column, count, to)
                    : FromBase(row, column, count, to);
    };
    return ForRows(run, visit);
  }

 private:
  struct Loaded {
    std::vector<int32_t> rows;
    uint64_t with_sign = 0;              // how many of the first ones have signs
    std::vector<Scales::Values> scales;  // theirs, a plane
  };

  Result<Loaded> Load() const {
    Loaded loaded;
    SIGNUM_ASSIGN(loaded.rows, ReadValues<int32_t>(*parts_.rows));
    for (const auto& scale : parts_.scales) {
      Scales::Values values;
      SIGNUM_ASSIGN(values.row, ReadValues<float>(*scale));
      loaded.with_sign = values.row.size();
      loaded.scales.push_back(std::move(values));
    }
    const uint64_t grown = rows_ - base_.rows;
    const uint64_t listed = loaded.rows.size();
    bool fits = listed >= grown + loaded.with_sign &&
                std::is_sorted(loaded.rows.begin(), loaded.rows.end(), std::less_equal<>()) &&
                (loaded.rows.empty() ||
                 (loaded.rows.front() >= 0 && static_cast<uint64_t>(loaded.rows.back()) < rows_));
    // Ascending without repeats and below rows_: the last `grown` are the grown ones if the first
    // is.
    fits = fits && (grown == 0 || static_cast<uint64_t>(loaded.rows[listed - grown]) == base_.rows);
    SIGNUM_TRY(CheckPart(fits, info_, "its list of rows"));
    return loaded;
  }

  Result<void> CopyValues(uint64_t place, uint64_t column, uint64_t count,
                          kernels::MutableRow to) const {
    const uint64_t width = kernels::ElementBytes(type_);
    return parts_.values->Read((place * columns_ + column) * width,
                               {static_cast<std::byte*>(to.data), count * width});
  }

  Result<kernels::ConstRow> BaseRow(uint64_t row, uint64_t column, uint64_t count,
                                    std::vector<std::byte>& buffer) const {
    const uint64_t width = kernels::ElementBytes(base_.type);
    SIGNUM_ASSIGN(const std::byte* bytes,
                  Fetch(*base_.bytes, (row * columns_ + column) * width, count * width, buffer));
    return kernels::ConstRow{base_.type, bytes};
  }

  // The base's row as it is.
  Result<void> FromBase(uint64_t row, uint64_t column, uint64_t count,
                        kernels::MutableRow to) const {
    std::vector<std::byte> buffer;
    SIGNUM_ASSIGN(const kernels::ConstRow base, BaseRow(row, column, count, buffer));
    kernels::ConvertRow(base, count, to);
    return {};
  }

  Result<void> WithSigns(const std::vector<Scales::Values>& scales, uint64_t place, uint64_t row,
                         uint64_t column, uint64_t count, kernels::MutableRow to) const {
    std::vector<std::byte> base_buffer;
    std::vector<std::vector<std::byte>> buffers(parts_.signs.size());
    RowPlanes bits;
    SIGNUM_ASSIGN(const kernels::ConstRow base, BaseRow(row, column, count, base_buffer));
    for (size_t plane = 0; plane < buffers.size(); ++plane) {
      SIGNUM_ASSIGN(const std::byte* sign, Fetch(*parts_.signs[plane], BitsBegin(place, column),
                                                 kernels::BitBytes(count), buffers[plane]));
      bits.sign.push_back(reinterpret_cast<const uint8_t*>(sign));
    }
    ReconstructPlanes(base, bits, scales, place, column, count, to);
    return {};
  }

  BaseMatrix base_;
  TensorInfo info_;
  RowParts parts_;
  Lazy<Loaded> loaded_;
};

}  // namespace

Result<std::shared_ptr<const ByteSource>> OpenRows(const DeltaReader& delta, const TensorInfo& info,
                                                   BaseMatrix base) {
  const uint64_t k = info.shape[1];
  const WeightPlanes found = FindPlanes(delta, info.name);
  SIGNUM_TRY(CheckPart(found.rows != nullptr, info, "its list of rows"));
  RowParts parts{delta.OpenPart(*found.rows), nullptr, {}, {}};
  const uint64_t listed = parts.rows->size() / sizeof(int32_t);
  uint64_t with_sign = 0;
  for (const SignPlane& plane : found.planes) {
    with_sign = plane.sign->info.shape[0];
    SIGNUM_TRY(
        CheckPart(plane.sign->info.bytes() == with_sign * kernels::BitBytes(k), info, "its sign"));
    SIGNUM_TRY(
        CheckPart(plane.row_scale != nullptr && plane.col_scale == nullptr, info, "its row scale"));
    parts.signs.push_back(delta.OpenPart(*plane.sign));
    parts.scales.push_back(delta.OpenPart(*plane.row_scale));
  }
  SIGNUM_TRY(CheckPart(with_sign <= listed && base.rows <= info.shape[0], info, "its rows"));
  const SafetensorsEntry* values = delta.FindPart(ValuesName(info.name));
  if (values != nullptr) parts.values = delta.OpenPart(*values);
  const uint64_t value_bytes = values == nullptr ? 0 : parts.values->size();
  SIGNUM_TRY(CheckPart(value_bytes == (listed - with_sign) * k * DtypeSize(info.dtype) &&
                           (values == nullptr || values->info.dtype == info.dtype),
                       info, "its values"));
  return std::make_shared<RowsMatrix>(info, std::move(base), parts);
}

}  // namespace signum
