#include "gpu/distill/student.h"
#include "gpu/kernels/bits.h"

// A student's planes to the host and back: what Layerwise works on.

namespace signum {
namespace {

template <class T>
std::vector<T> Download(ops::Backend& backend, const void* from, int64_t size) {
  std::vector<T> values(static_cast<size_t>(size));
  if (from != nullptr) backend.Download(from, values.data(), values.size() * sizeof(T));
  return values;
}

// The bits of changed weights alone, as sign1-sparse stores them.
std::string PackChanged(const Student::HostPlane& plane, int64_t columns, size_t packed_bytes) {
  std::string packed(packed_bytes + 1, '\0');
  uint64_t at = 0;
  for (int64_t r = 0; r < plane.rows; ++r) {
    const size_t row = static_cast<size_t>(r) * plane.row_bytes;
    at = kernels::GatherBits(plane.sign.data() + row, plane.mask.data() + row,
                             static_cast<size_t>(columns),
                             reinterpret_cast<uint8_t*>(packed.data()), at);
  }
  packed.resize(packed_bytes);
  return packed;
}

}  // namespace

Result<Student::HostPlane> Student::DownloadPlane(const SignTensor& tensor) const {
  const TensorPlane& from = tensor.planes[0];
  HostPlane plane;
  plane.rows = tensor.sign_row_count();
  plane.row_bytes = kernels::BitBytes(static_cast<size_t>(tensor.shape.columns));
  const auto bytes = plane.rows * static_cast<int64_t>(plane.row_bytes);
  plane.sign = Download<uint8_t>(backend_, from.sign.data, bytes);
  if (from.mask.data != nullptr) plane.mask = Download<uint8_t>(backend_, from.mask.data, bytes);
  plane.row = Download<float>(backend_, scales() + from.row.offset, from.row.size);
  plane.one_row_scale = from.row.size == 1 && plane.rows != 1;
  if (plane.one_row_scale) plane.row.assign(static_cast<size_t>(plane.rows), plane.row[0]);
  plane.col = Download<float>(backend_, scales() + from.col.offset, from.col.size);
  return plane;
}

Result<void> Student::UploadPlane(const SignTensor& tensor, const HostPlane& plane) {
  TensorPlane& to = tensors_.find(tensor.name)->second.planes[0];
  SIGNUM_ASSIGN(to.sign, UploadValues(backend_, plane.sign));
  backend_.Upload(plane.row.data(), scales() + to.row.offset,
                  static_cast<size_t>(to.row.size) * sizeof(float));
  const std::string part = SignName(tensor.name);
  if (plane.mask.empty()) {
    changed_signs_[part].assign(plane.sign.begin(), plane.sign.end());
  } else {
    const uint64_t size = sources_.delta->FindPart(part)->info.bytes();
    changed_signs_[part] = PackChanged(plane, tensor.shape.columns, size);
  }
  return {};
}

Result<std::vector<float>> Student::Difference(const SignTensor& tensor, const WeightSource& fine,
                                               int64_t first, int64_t count) const {
  const int64_t size = count * tensor.shape.columns;
  SIGNUM_ASSIGN(const auto rows, MakeBuffer<float>(backend_, size));
  const auto read = [&](const std::function<Result<void>(int64_t, int64_t, float*)>& load)
      -> Result<std::vector<float>> {
    if (!tensor.listed) {
      SIGNUM_TRY(load(first, count, rows.data()));
    } else {
      for (int64_t i = 0; i < count; ++i) {
        SIGNUM_TRY(load(tensor.sign_rows[static_cast<size_t>(first + i)], 1,
                        rows.data() + i * tensor.shape.columns));
      }
    }
    return Download<float>(backend_, rows.data(), size);
  };
  SIGNUM_ASSIGN(std::vector<float> difference, read([&](int64_t row, int64_t n, float* out) {
                  return fine.Load(tensor.name, row, n, out);
                }));
  SIGNUM_ASSIGN(const std::vector<float> base, read([&](int64_t row, int64_t n, float* out) {
                  return Make(tensor, row, n, -1, out);
                }));
  for (size_t i = 0; i < difference.size(); ++i) difference[i] -= base[i];
  return difference;
}

}  // namespace signum
