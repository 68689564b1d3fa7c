#include "gpu/distill/sign_tensor.h"

#include "gpu/kernels/bits.h"
#include "gpu/rebuilt_matrix.h"
#include "gpu/tensor_class.h"
#include "storage/format/weight_planes.h"

namespace signum {
namespace {

class Opener {
 public:
  Opener(ops::Backend& backend, const DeltaReader& delta, const TensorInfo& info,
         std::vector<float>& scales, const DeviceImage* image)
      : backend_(backend), delta_(delta), info_(info), scales_(scales), image_(image) {}

  Result<SignTensor> Run(const CheckpointSource& base) {
    SIGNUM_TRY(OpenBase(base));
    const Codec codec = delta_.header().codecs.at(info_.name);
    parts_ = FindPlanes(delta_, info_.name);
    if (codec == Codec::kRows) SIGNUM_TRY(OpenRowLists());
    for (const SignPlane& plane : parts_.planes) SIGNUM_TRY(OpenPlane(plane, codec));
    if (out_.listed && out_.planes.empty()) return std::move(out_);
    SIGNUM_TRY(CheckPart(!out_.planes.empty(), info_, "its sign"));
    return std::move(out_);
  }

 private:
  Result<void> OpenBase(const CheckpointSource& base) {
    const auto at = base.Find(info_.name);
    SIGNUM_TRY(CheckPart(at && info_.shape.size() == 2, info_, "the base's tensor"));
    const TensorInfo& before = base.tensors()[*at];
    const auto type = ElementOf(before.dtype);
    SIGNUM_TRY(CheckPart(type && before.shape.size() == 2 && before.shape[1] == info_.shape[1],
                         info_, "the base's tensor"));
    out_.name = info_.name;
    out_.shape = {static_cast<int64_t>(info_.shape[0]), static_cast<int64_t>(info_.shape[1])};
    out_.base_type = *type;
    out_.base_rows = static_cast<int64_t>(before.shape[0]);
    SIGNUM_ASSIGN(out_.base, base.Open(*at));
    return {};
  }

  Result<void> OpenRowLists() {
    out_.listed = true;
    SIGNUM_TRY(CheckPart(parts_.rows != nullptr, info_, "its rows"));
    SIGNUM_ASSIGN(out_.sign_rows, ReadValues<int32_t>(*delta_.OpenPart(*parts_.rows)));
    const size_t signs = parts_.planes.empty() ? 0 : parts_.planes[0].sign->info.shape[0];
    SIGNUM_TRY(CheckPart(signs <= out_.sign_rows.size(), info_, "its rows"));
    const auto cut = out_.sign_rows.begin() + static_cast<ptrdiff_t>(signs);
    out_.value_rows.assign(cut, out_.sign_rows.end());
    out_.sign_rows.erase(cut, out_.sign_rows.end());
    for (const int32_t row : out_.sign_rows) {
      SIGNUM_TRY(CheckPart(row < out_.base_rows, info_, "its rows"));
    }
    SIGNUM_ASSIGN(out_.sign_rows_device, UploadValues(backend_, out_.sign_rows));
    if (const SafetensorsEntry* values = delta_.FindPart(ValuesName(info_.name))) {
      out_.value_type = *ElementOf(info_.dtype);
      out_.values = delta_.OpenPart(*values);
    }
    return {};
  }

  Result<void> OpenPlane(const SignPlane& from, Codec codec) {
    TensorPlane plane;
    const auto bytes = delta_.OpenPart(*from.sign);
    if (codec == Codec::kSign1Sparse) {
      SIGNUM_TRY(OpenSparse(*bytes, plane));
    } else {
      const auto rows = static_cast<uint64_t>(out_.sign_row_count());
      SIGNUM_TRY(CheckPart(bytes->size() == rows * RowBytes(), info_, "its sign"));
      SIGNUM_ASSIGN(plane.sign, LoadBytes(backend_, bytes, 0, bytes->size(), image_));
    }
    SIGNUM_ASSIGN(plane.row, Scale(from.row_scale != nullptr ? from.row_scale : from.scale));
    SIGNUM_ASSIGN(plane.col, Scale(from.col_scale));
    SIGNUM_TRY(CheckPart(plane.row.size == 1 || plane.row.size == out_.sign_row_count(), info_,
                         "its scales"));
    SIGNUM_TRY(CheckPart(plane.col.size == 0 || plane.col.size == out_.shape.columns, info_,
                         "its column scales"));
    out_.planes.push_back(std::move(plane));
    return {};
  }

  // Signs of changed weights alone, spread out to where the mask has ones.
  Result<void> OpenSparse(const ByteSource& packed, TensorPlane& plane) {
    const SafetensorsEntry* mask = parts_.mask;
    SIGNUM_TRY(CheckPart(mask != nullptr, info_, "its mask"));
    const auto mask_bytes = delta_.OpenPart(*mask);
    SIGNUM_ASSIGN(const auto bits, ReadValues<uint8_t>(*mask_bytes));
    const auto rows = static_cast<uint64_t>(out_.shape.rows);
    SIGNUM_TRY(CheckPart(bits.size() == rows * RowBytes(), info_, "its mask"));
    SIGNUM_TRY(CheckPart(kernels::CountBits(bits.data(), bits.size() * 8) <= packed.size() * 8,
                         info_, "its signs"));
    SIGNUM_ASSIGN(const auto signs, ReadValues<uint8_t>(packed));
    std::vector<uint8_t> spread(bits.size());
    uint64_t at = 0;
    for (uint64_t r = 0; r < rows; ++r) {
      at = kernels::ScatterBits(signs.data(), at, bits.data() + r * RowBytes(), info_.shape[1],
                                spread.data() + r * RowBytes());
    }
    SIGNUM_ASSIGN(plane.mask, LoadBytes(backend_, mask_bytes, 0, bits.size(), image_));
    SIGNUM_ASSIGN(plane.sign, UploadValues(backend_, spread));
    return {};
  }

  uint64_t RowBytes() const { return kernels::BitBytes(info_.shape[1]); }

  // Appends a part's values to the scales; size 0 where there is no such part.
  Result<ScaleVector> Scale(const SafetensorsEntry* part) {
    if (part == nullptr) return ScaleVector{};
    SIGNUM_ASSIGN(const auto values, ReadValues<float>(*delta_.OpenPart(*part)));
    const auto offset = static_cast<int64_t>(scales_.size());
    scales_.insert(scales_.end(), values.begin(), values.end());
    return ScaleVector{part->info.name, offset, static_cast<int64_t>(values.size())};
  }

  ops::Backend& backend_;
  const DeltaReader& delta_;
  const TensorInfo& info_;
  std::vector<float>& scales_;
  const DeviceImage* const image_;
  WeightPlanes parts_;
  SignTensor out_;
};

}  // namespace

bool HasSigns(Codec codec) {
  return codec == Codec::kSign1 || codec == Codec::kSign1Sparse || codec == Codec::kRows;
}

Result<SignTensor> OpenSignTensor(ops::Backend& backend, const DeltaReader& delta,
                                  const TensorInfo& info, const CheckpointSource& base,
                                  std::vector<float>& scales, const DeviceImage* image) {
  return Opener(backend, delta, info, scales, image).Run(base);
}

}  // namespace signum
