#pragma once

#include <vector>

#include "gpu/compress.h"

namespace signum {

// The tensors that a delta holds of a weight, by codec: what the encoders write, known before they
// run.

// sign1 of options.planes planes.
std::vector<TensorInfo> Sign1Parts(const TensorInfo& weight, const CompressOptions& options);
// sign1-sparse with `changed` weights under the mask.
std::vector<TensorInfo> SparseParts(const TensorInfo& weight, uint64_t changed,
                                    const CompressOptions& options);
// rows: `changed` rows of those the base has, and `grown` ones that it lacks.
std::vector<TensorInfo> RowsParts(const TensorInfo& weight, uint64_t changed, uint64_t grown,
                                  const CompressOptions& options);
// lowrank with factors of `dtype`; a scale where `scaled`.
std::vector<TensorInfo> LowrankParts(const TensorInfo& weight, uint64_t rank, Dtype dtype,
                                     bool scaled);

uint64_t BytesOf(const std::vector<TensorInfo>& parts);

}  // namespace signum
