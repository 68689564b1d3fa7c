#pragma once

#include <string_view>

#include "gpu/compress.h"

namespace signum {

// Reads a budget as people write it into `options`: a number of bytes, or "12x", the fine-tune's
// size over 12 (at least 1). Errc::kInvalid bad_budget.
Result<void> ReadBudget(std::string_view text, CompressOptions& options);

}  // namespace signum
