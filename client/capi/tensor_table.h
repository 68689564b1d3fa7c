#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "client/capi/signum.h"
#include "client/node/delta_outline.h"
#include "storage/base/result.h"

namespace signum::client {

// Where a delta's file lies, whole.
struct TensorPlace {
  const std::byte* file = nullptr;
  int32_t device_kind = SIGNUM_DEVICE_CPU;
  int32_t device_id = 0;
  void* ready_event = nullptr;
};

// The tensors and weights of a delta as the C interface shows them, with their names, shapes and
// addresses. Points into itself and the place; immutable.
class TensorTable {
 public:
  TensorTable(DeltaOutline outline, const TensorPlace& place);
  TensorTable(const TensorTable&) = delete;
  TensorTable& operator=(const TensorTable&) = delete;

  const std::vector<signum_tensor>& tensors() const { return tensors_; }
  const std::vector<signum_weight>& weights() const { return weights_; }
  // Errc::kNotFound "no_such_tensor".
  Result<const signum_tensor*> Find(std::string_view name) const;

 private:
  void AddTensor(size_t index);
  void AddToWeight(const signum_tensor& tensor, int32_t index);

  const DeltaOutline outline_;
  const TensorPlace place_;
  std::vector<std::vector<int64_t>> shapes_;
  std::vector<signum_tensor> tensors_;
  std::vector<signum_weight> weights_;
  std::map<std::string_view, size_t> by_name_;    // of tensors
  std::map<std::string_view, size_t> by_weight_;  // of weights
};

}  // namespace signum::client
