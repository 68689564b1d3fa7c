#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "client/capi/signum.h"
#include "storage/base/result.h"
#include "storage/format/delta_file.h"

namespace signum::client {

// The tensors and weights of a delta as the C interface shows them, with their names, shapes and
// addresses. Points into `delta` and itself; immutable.
class TensorTable {
 public:
  // `delta` is over memory that can be addressed and outlives the table.
  explicit TensorTable(const DeltaReader& delta);
  TensorTable(const TensorTable&) = delete;
  TensorTable& operator=(const TensorTable&) = delete;

  const std::vector<signum_tensor>& tensors() const { return tensors_; }
  const std::vector<signum_weight>& weights() const { return weights_; }
  // Errc::kNotFound "no_such_tensor".
  Result<const signum_tensor*> Find(std::string_view name) const;

 private:
  void AddTensor(const DeltaReader& delta, size_t index);
  void AddToWeight(const signum_tensor& tensor, int32_t index);

  std::vector<std::vector<int64_t>> shapes_;
  std::vector<signum_tensor> tensors_;
  std::vector<signum_weight> weights_;
  std::map<std::string_view, size_t> by_name_;    // of tensors
  std::map<std::string_view, size_t> by_weight_;  // of weights
};

}  // namespace signum::client
