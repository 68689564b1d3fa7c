#include "gpu/ops/delta_ops.h"

namespace signum::ops {

DeltaOps& DeltaOpsOf(Backend& backend) { return dynamic_cast<DeltaOps&>(backend); }

}  // namespace signum::ops
