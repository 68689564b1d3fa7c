#include <algorithm>
#include <cstring>

#include "gpu/fetch.h"
#include "gpu/kernels/convert.h"
#include "gpu/kernels/reconstruct.h"
#include "gpu/rebuilt_matrix.h"
#include "gpu/tensor_class.h"

namespace signum {
namespace {

struct RowParts {
  std::shared_ptr<const ByteSource> rows, sign, scale, values;  // the last three may be absent
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
      if (listed && place >= loaded->scales.size()) {
        return CopyValues(place - loaded->scales.size(), column, count, to);
      }
      return FromBase(row, column, count, listed ? &loaded->scales[place] : nullptr, place, to);
    };
    return ForRows(run, visit);
  }

 private:
  struct Loaded {
    std::vector<int32_t> rows;
    std::vector<float> scales;  // of the first ones
  };

  Result<Loaded> Load() const {
    Loaded loaded;
    SIGNUM_ASSIGN(loaded.rows, ReadValues<int32_t>(*parts_.rows));
    if (parts_.scale != nullptr) {
      SIGNUM_ASSIGN(loaded.scales, ReadValues<float>(*parts_.scale));
    }
    const uint64_t grown = rows_ - base_.rows;
    const uint64_t listed = loaded.rows.size();
    bool fits = listed >= grown + loaded.scales.size() &&
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

  // scale null: the base's row as it is.
  Result<void> FromBase(uint64_t row, uint64_t column, uint64_t count, const float* scale,
                        uint64_t place, kernels::MutableRow to) const {
    std::vector<std::byte> base_buffer;
    std::vector<std::byte> sign_buffer;
    const uint64_t width = kernels::ElementBytes(base_.type);
    SIGNUM_ASSIGN(const std::byte* bytes, Fetch(*base_.bytes, (row * columns_ + column) * width,
                                                count * width, base_buffer));
    const kernels::ConstRow base{base_.type, bytes};
    if (scale == nullptr) {
      kernels::ConvertRow(base, count, to);
      return {};
    }
    SIGNUM_ASSIGN(const std::byte* bits, Fetch(*parts_.sign, BitsBegin(place, column),
                                               kernels::BitBytes(count), sign_buffer));
    const kernels::SignScales how{reinterpret_cast<const uint8_t*>(bits), nullptr, *scale, nullptr};
    kernels::ReconstructRow(base, how, count, to);
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
  const auto open = [&](const std::string& name) -> std::shared_ptr<const ByteSource> {
    const SafetensorsEntry* entry = delta.FindPart(name);
    return entry == nullptr ? nullptr : delta.OpenPart(*entry);
  };
  const uint64_t k = info.shape[1];
  const RowParts parts{open(RowsName(info.name)), open(SignName(info.name)),
                       open(RowScaleName(info.name)), open(ValuesName(info.name))};
  SIGNUM_TRY(CheckPart(parts.rows != nullptr, info, "its list of rows"));
  const uint64_t listed = parts.rows->size() / sizeof(int32_t);
  const uint64_t with_sign = parts.scale == nullptr ? 0 : parts.scale->size() / sizeof(float);
  SIGNUM_TRY(CheckPart(with_sign == 0 || (parts.sign != nullptr &&
                                          parts.sign->size() == with_sign * kernels::BitBytes(k)),
                       info, "its sign"));
  SIGNUM_TRY(CheckPart(with_sign <= listed && base.rows <= info.shape[0], info, "its rows"));
  const uint64_t value_bytes = parts.values == nullptr ? 0 : parts.values->size();
  const SafetensorsEntry* values = delta.FindPart(ValuesName(info.name));
  SIGNUM_TRY(CheckPart(value_bytes == (listed - with_sign) * k * DtypeSize(info.dtype) &&
                           (values == nullptr || values->info.dtype == info.dtype),
                       info, "its values"));
  return std::make_shared<RowsMatrix>(info, std::move(base), parts);
}

}  // namespace signum
