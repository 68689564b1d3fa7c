#include "gpu/ops/transfer_ops.h"

namespace signum::ops {

TransferOps* TransferOpsOf(Backend& backend) { return dynamic_cast<TransferOps*>(&backend); }

}  // namespace signum::ops
