#pragma once

#include <string>
#include <vector>

#include "gpu/model/tensor_bytes.h"
#include "gpu/model/weights.h"
#include "storage/format/delta_file.h"

namespace signum {

// A vector of scales among all those of a delta: `size` float32 from `offset` on.
struct ScaleVector {
  std::string part;  // its tensor in the delta file
  int64_t offset = 0, size = 0;
};

// One plane of signs of a weight, in a backend's memory.
struct TensorPlane {
  DeviceBytes sign, mask;  // mask empty where every weight has a sign
  ScaleVector row, col;    // col.size 0: no column scales
};

// A weight whose delta is signs and scales (sign1, sign1-sparse or rows), in a backend's memory:
// what a student model is made of.
struct SignTensor {
  std::string name;
  LinearShape shape{};
  kernels::Element base_type = kernels::Element::kF32;
  int64_t base_rows = 0;
  std::shared_ptr<const ByteSource> base;
  std::vector<TensorPlane> planes;
  // Codec rows: the rows that have signs, ascending; then those that have values, and the values.
  bool listed = false;
  std::vector<int32_t> sign_rows, value_rows;
  DeviceBytes sign_rows_device;
  kernels::Element value_type = kernels::Element::kF32;
  std::shared_ptr<const ByteSource> values;

  int64_t sign_row_count() const {
    return listed ? static_cast<int64_t>(sign_rows.size()) : shape.rows;
  }
};

// Reads a weight's parts, signs out of `image` where it has the delta file. The scales are appended
// to `scales`, and the vectors say where. Errc as Rebuilder's for parts that do not fit the weight.
Result<SignTensor> OpenSignTensor(ops::Backend& backend, const DeltaReader& delta,
                                  const TensorInfo& info, const CheckpointSource& base,
                                  std::vector<float>& scales, const DeviceImage* image = nullptr);

// Whether a codec stores signs and scales, which OpenSignTensor reads.
bool HasSigns(Codec codec);

}  // namespace signum
