#pragma once

#include <map>
#include <string>

#include "gpu/model/tensor_bytes.h"
#include "storage/base/digest.h"

namespace signum {

// Tensors of one base model in a backend's memory, which stay there from one distillation to the
// next: fine-tunes of the same base follow one another. One thread at a time; gone before the
// backend is.
class KeptBase {
 public:
  explicit KeptBase(ops::Backend& backend) : backend_(backend) {}

  // What is kept of another base goes.
  void Use(const Digest& base);
  // The bytes of a tensor of the base in use, copied when they are asked for the first time.
  // Errc::kExhausted device_memory.
  Result<DeviceBytes> Load(const std::string& tensor, std::shared_ptr<const ByteSource> bytes);
  void Clear() { tensors_.clear(); }

 private:
  ops::Backend& backend_;
  Digest base_;
  std::map<std::string, DeviceBytes> tensors_;
};

}  // namespace signum
