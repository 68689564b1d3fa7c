#pragma once

#include <nlohmann/json_fwd.hpp>

#include "gpu/distill/make_delta.h"

namespace signum {

// {"logit_mse","kl","top1","perplexity":{"base","fine","delta"},"targets"}: how the API, the
// manifest and the command line state it. perplexity.base is null where the base lacks a token.
nlohmann::json FidelityJson(const Fidelity& fidelity);
// {"source","seed","tokens","method","steps","loss"} of what a delta was distilled on.
nlohmann::json CalibrationJson(const MakeDeltaOptions& options, const MadeDelta& made);

}  // namespace signum
