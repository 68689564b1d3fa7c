#pragma once

#include <functional>

#include "gpu/ops/backend.h"
#include "gpu/ops/chunk_digest.h"
#include "gpu/ops/reconstruct.h"
#include "gpu/ops/sign_pack.h"
#include "gpu/ops/sign_product.h"
#include "gpu/ops/tenant_product.h"

namespace signum::ops {

// Writes `bytes` bytes of a transfer, those from `offset` on, to host memory; false ends it.
using FillStage = std::function<bool(size_t offset, void* to, size_t bytes)>;

// What is done with deltas rather than with a model; beside Backend, with its memory, order and
// errors.
class DeltaOps {
 public:
  virtual ~DeltaOps() = default;

  virtual void SignPack(const SignPackArgs& args) = 0;
  virtual void Reconstruct(const ReconstructArgs& args) = 0;
  virtual void SignProduct(const SignProductArgs& args) = 0;
  virtual void TenantProduct(const TenantProductArgs& args) = 0;
  virtual void ChunkDigests(const ChunkDigestArgs& args) = 0;
  // Fills `bytes` bytes of the backend's memory piece by piece, in order: on a device through two
  // pinned buffers, one of which travels while the other is filled. False where `fill` said so, or
  // where there was no memory for the buffers (TakeError tells); what arrived by then stays.
  virtual bool StageUpload(void* device, size_t bytes, const FillStage& fill) = 0;
};

// The delta ops of `backend`, which implements them too, as all that a program opens do.
DeltaOps& DeltaOpsOf(Backend& backend);

}  // namespace signum::ops
