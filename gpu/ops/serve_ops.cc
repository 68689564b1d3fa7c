#include "gpu/ops/serve_ops.h"

namespace signum::ops {

ServeOps* ServeOpsOf(Backend& backend) { return dynamic_cast<ServeOps*>(&backend); }

}  // namespace signum::ops
