#include "gpu/distill/kept_base.h"

namespace signum {

void KeptBase::Use(const Digest& base) {
  if (base != base_) Clear();
  base_ = base;
}

Result<DeviceBytes> KeptBase::Load(const std::string& tensor,
                                   std::shared_ptr<const ByteSource> bytes) {
  const auto kept = tensors_.find(tensor);
  if (kept != tensors_.end()) return kept->second;
  const uint64_t size = bytes->size();
  SIGNUM_ASSIGN(DeviceBytes loaded, LoadBytes(backend_, std::move(bytes), 0, size));
  return tensors_.emplace(tensor, std::move(loaded)).first->second;
}

}  // namespace signum
