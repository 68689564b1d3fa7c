#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "storage/base/result.h"

namespace signum {

// The angle a position turns each pair of a head by, [head_dim / 2]: theta^(-2i / head_dim), scaled
// as config.json's rope_scaling (or rope_parameters) says:
//   linear  divided by `factor` (position interpolation, arXiv 2306.15595)
//   llama3  long wavelengths divided by `factor`, short ones kept, a smooth passage between
// Errc::kUnusable unknown_architecture for another kind of scaling, bad_config for bad numbers.
Result<std::vector<double>> RopeInversePeriods(const nlohmann::json& config, int64_t head_dim,
                                               int64_t max_positions);

}  // namespace signum
