#pragma once

#include "gpu/ops/attention.h"
#include "tests/gpu/ops/check.h"

namespace signum::ops {

// Attention by its definition, in double: out of q, k, v as in AttentionArgs.
Doubles NaiveAttention(const AttentionShape& shape, const Doubles& q, const Doubles& k,
                       const Doubles& v);

}  // namespace signum::ops
