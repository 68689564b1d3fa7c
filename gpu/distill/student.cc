#include "gpu/distill/student.h"

#include <algorithm>

#include "gpu/tensor_class.h"
#include "storage/base/name.h"

namespace signum {

Result<std::shared_ptr<Student>> Student::Create(ops::Backend& backend, Sources sources) {
  std::shared_ptr<Student> student(new Student(backend, std::move(sources)));
  SIGNUM_TRY(student->Open());
  return student;
}

Result<void> Student::Open() {
  std::vector<float> scales;
  for (const TensorInfo& info : sources_.fine->tensors()) {
    const auto codec = sources_.delta->header().codecs.find(info.name);
    if (codec == sources_.delta->header().codecs.end()) {
      return Fail(Errc::kCorrupt, "bad_part",
                  "the delta has no codec for tensor '" + Printable(info.name) + "'");
    }
    if (!HasSigns(codec->second)) continue;
    SIGNUM_ASSIGN(SignTensor tensor, OpenSignTensor(backend_, *sources_.delta, info, *sources_.base,
                                                    scales, sources_.image.get()));
    tensors_.emplace(info.name, std::move(tensor));
  }
  SIGNUM_ASSIGN(scales_, MakeBuffer<float>(backend_, static_cast<int64_t>(scales.size())));
  backend_.Upload(scales.data(), scales_.data(), scales.size() * sizeof(float));
  return {};
}

std::optional<LinearShape> Student::Find(std::string_view name) const {
  const auto at = sources_.fine->Find(name);
  if (!at) return std::nullopt;
  const TensorInfo& info = sources_.fine->tensors()[*at];
  if (!ElementOf(info.dtype) || info.shape.empty() || info.shape.size() > 2) return std::nullopt;
  const auto columns = info.shape.size() == 2 ? static_cast<int64_t>(info.shape[1]) : 1;
  return LinearShape{static_cast<int64_t>(info.shape[0]), columns};
}

const SignTensor* Student::Signs(std::string_view name) const {
  const auto at = tensors_.find(name);
  return at == tensors_.end() ? nullptr : &at->second;
}

ops::SignPlane Student::Plane(const SignTensor& tensor, size_t plane, int64_t first) const {
  const TensorPlane& from = tensor.planes[plane];
  const auto row_bytes =
      static_cast<int64_t>(kernels::BitBytes(static_cast<size_t>(tensor.shape.columns)));
  const auto bits = [&](const DeviceBytes& bytes) {
    return bytes.data == nullptr ? nullptr
                                 : reinterpret_cast<const uint8_t*>(bytes.data) + first * row_bytes;
  };
  ops::SignPlane out;
  out.sign = bits(from.sign);
  out.mask = bits(from.mask);
  out.one_row_scale = from.row.size == 1 && tensor.sign_row_count() != 1;
  out.row = scales_.data() + from.row.offset + (out.one_row_scale ? 0 : first);
  out.col = from.col.size == 0 ? nullptr : scales_.data() + from.col.offset;
  return out;
}

std::vector<const ScaleVector*> Student::Vectors() const {
  std::vector<const ScaleVector*> vectors;
  for (const auto& [name, tensor] : tensors_) {
    for (const TensorPlane& plane : tensor.planes) {
      vectors.push_back(&plane.row);
      if (plane.col.size > 0) vectors.push_back(&plane.col);
    }
  }
  std::sort(vectors.begin(), vectors.end(),
            [](const auto* a, const auto* b) { return a->offset < b->offset; });
  return vectors;
}

uint64_t Student::device_bytes() const {
  uint64_t bytes = BufferBytes(scales_);
  for (const auto& [name, tensor] : tensors_) {
    bytes += tensor.sign_rows_device.allocated;
    for (const TensorPlane& plane : tensor.planes) {
      bytes += plane.sign.allocated + plane.mask.allocated;
    }
  }
  return bytes;
}

void Student::LeaveHost() {
  sources_ = {};
  for (auto& [name, tensor] : tensors_) {
    tensor.base.reset();
    tensor.values.reset();
  }
}

Result<void> Student::KeepBase(KeptBase& kept) {
  for (const auto& [name, tensor] : tensors_) {
    SIGNUM_ASSIGN(base_bytes_[name], kept.Load(name, tensor.base));
  }
  return {};
}

Result<void> Student::Load(std::string_view name, int64_t first, int64_t count, float* out) const {
  const SignTensor* tensor = Signs(name);
  if (tensor == nullptr) return LoadOther(name, first, count, out);
  return tensor->listed ? LoadListed(*tensor, first, count, out)
                        : Make(*tensor, first, count, first, out);
}

Result<void> Student::LoadOther(std::string_view name, int64_t first, int64_t count,
                                float* out) const {
  const auto shape = Find(name);
  if (!shape) {
    return Fail(Errc::kUnusable, "unknown_architecture",
                "tensor '" + Printable(name) + "' is missing or not a float matrix");
  }
  const TensorInfo& info = sources_.fine->tensors()[*sources_.fine->Find(name)];
  SIGNUM_ASSIGN(auto bytes, sources_.rebuilder->OpenTensor(name));
  const auto row = static_cast<uint64_t>(shape->columns) * DtypeSize(info.dtype);
  SIGNUM_ASSIGN(const DeviceBytes at,
                LoadBytes(backend_, std::move(bytes), static_cast<uint64_t>(first) * row,
                          static_cast<uint64_t>(count) * row));
  ops::MaterializeArgs args;
  args.base_type = *ElementOf(info.dtype);
  args.base = at.data;
  args.out = out;
  args.rows = count;
  args.columns = shape->columns;
  backend_.Materialize(args);
  return {};
}

Result<void> Student::Make(const SignTensor& tensor, int64_t first, int64_t count,
                           int64_t sign_first, float* out) const {
  const auto row = static_cast<uint64_t>(tensor.shape.columns) * ElementBytes(tensor.base_type);
  const auto offset = static_cast<uint64_t>(first) * row;
  const auto kept = base_bytes_.find(tensor.name);
  DeviceBytes bytes;
  if (kept != base_bytes_.end()) {
    bytes.data = kept->second.data + offset;
  } else {
    SIGNUM_ASSIGN(bytes,
                  LoadBytes(backend_, tensor.base, offset, static_cast<uint64_t>(count) * row));
  }
  ops::MaterializeArgs args;
  args.base_type = tensor.base_type;
  args.base = bytes.data;
  args.out = out;
  args.rows = count;
  args.columns = tensor.shape.columns;
  for (size_t p = 0; sign_first >= 0 && p < tensor.planes.size(); ++p) {
    args.planes[p] = Plane(tensor, p, sign_first);
    args.plane_count = static_cast<int>(p) + 1;
  }
  backend_.Materialize(args);
  return {};
}

// Runs of rows that are alike, each at once: with signs, with values, or the base's own.
Result<void> Student::LoadListed(const SignTensor& tensor, int64_t first, int64_t count,
                                 float* out) const {
  const auto value_row =
      static_cast<uint64_t>(tensor.shape.columns) * ElementBytes(tensor.value_type);
  const auto position = [](const std::vector<int32_t>& rows, int64_t row) -> int64_t {
    const auto at = std::lower_bound(rows.begin(), rows.end(), row);
    return at != rows.end() && *at == row ? at - rows.begin() : -1;
  };
  for (int64_t row = first; row < first + count;) {
    const int64_t sign = position(tensor.sign_rows, row);
    const int64_t value = sign >= 0 ? -1 : position(tensor.value_rows, row);
    int64_t end = row + 1;
    while (end < first + count) {
      const int64_t next_sign = position(tensor.sign_rows, end);
      if (next_sign != (sign < 0 ? -1 : sign + (end - row))) break;
      const int64_t next_value = sign >= 0 ? -1 : position(tensor.value_rows, end);
      if (next_value != (value < 0 ? -1 : value + (end - row))) break;
      ++end;
    }
    float* to = out + (row - first) * tensor.shape.columns;
    if (value >= 0) {
      SIGNUM_ASSIGN(const DeviceBytes bytes,
                    LoadBytes(backend_, tensor.values, static_cast<uint64_t>(value) * value_row,
                              static_cast<uint64_t>(end - row) * value_row));
      ops::MaterializeArgs args;
      args.base_type = tensor.value_type;
      args.base = bytes.data;
      args.out = to;
      args.rows = end - row;
      args.columns = tensor.shape.columns;
      backend_.Materialize(args);
    } else {
      SIGNUM_TRY(Make(tensor, row, end - row, sign, to));
    }
    row = end;
  }
  return {};
}

Result<void> Student::Gather(std::string_view name, const std::vector<int32_t>& rows,
                             float* out) const {
  const auto shape = Find(name);
  if (!shape) return LoadOther(name, 0, 0, out);  // says what is wrong
  for (size_t i = 0; i < rows.size(); ++i) {
    SIGNUM_TRY(Load(name, rows[i], 1, out + static_cast<int64_t>(i) * shape->columns));
  }
  return {};
}

}  // namespace signum
