#include "gpu/distill/positive_zeros.h"

namespace signum {
namespace {

constexpr int64_t kRowsAtOnce = 64;

// `signs`: of `rows` rows of `columns`, row_bytes each.
void SetZeros(const std::vector<float>& delta, int64_t rows, int64_t columns, size_t row_bytes,
              uint8_t* signs) {
  for (int64_t r = 0; r < rows; ++r) {
    uint8_t* row = signs + static_cast<size_t>(r) * row_bytes;
    for (int64_t j = 0; j < columns; ++j) {
      if (delta[static_cast<size_t>(r * columns + j)] != 0) continue;
      row[j / 8] = static_cast<uint8_t>(row[j / 8] | (1U << (j % 8)));
    }
  }
}

Result<void> SetZerosOf(const Compute& compute, Student& student, const WeightSource& fine,
                        const SignTensor& tensor) {
  SIGNUM_ASSIGN(Student::HostPlane plane, student.DownloadPlane(tensor));
  const Pieces blocks(compute, {0, plane.rows, 1}, kRowsAtOnce);
  SIGNUM_TRY(ParallelFor(compute, blocks.count(), [&](size_t, int64_t p) -> Result<void> {
    const Sequences block = blocks[p];
    SIGNUM_ASSIGN(const std::vector<float> delta,
                  student.Difference(tensor, fine, block.first, block.count));
    SetZeros(delta, block.count, tensor.shape.columns, plane.row_bytes,
             plane.sign.data() + static_cast<size_t>(block.first) * plane.row_bytes);
    return {};
  }));
  return student.UploadPlane(tensor, plane);
}

}  // namespace

Result<void> CountZerosAsPositive(const Compute& compute, Student& student,
                                  const WeightSource& fine) {
  for (const auto& [name, tensor] : student.tensors()) {
    // Under a mask only changed weights have signs.
    if (tensor.planes.size() != 1 || tensor.planes[0].mask.data != nullptr) continue;
    SIGNUM_TRY(SetZerosOf(compute, student, fine, tensor));
  }
  return {};
}

}  // namespace signum
