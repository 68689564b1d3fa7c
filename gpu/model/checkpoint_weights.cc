#include "gpu/model/checkpoint_weights.h"

#include "gpu/kernels/element.h"
#include "gpu/model/tensor_bytes.h"
#include "gpu/tensor_class.h"
#include "storage/base/name.h"

namespace signum {
namespace {

class CheckpointWeights final : public WeightSource {
 public:
  CheckpointWeights(ops::Backend& backend, std::shared_ptr<const CheckpointSource> checkpoint)
      : backend_(backend), checkpoint_(std::move(checkpoint)) {}

  std::optional<LinearShape> Find(std::string_view name) const override {
    const auto at = checkpoint_->Find(name);
    if (!at) return std::nullopt;
    const TensorInfo& info = checkpoint_->tensors()[*at];
    if (!ElementOf(info.dtype) || info.shape.empty() || info.shape.size() > 2) return std::nullopt;
    const auto columns = info.shape.size() == 2 ? static_cast<int64_t>(info.shape[1]) : 1;
    return LinearShape{static_cast<int64_t>(info.shape[0]), columns};
  }

  Result<void> Load(std::string_view name, int64_t first, int64_t count,
                    float* out) const override {
    SIGNUM_ASSIGN(const Tensor tensor, Open(name));
    const auto row_bytes = static_cast<uint64_t>(tensor.shape.columns) * ElementBytes(tensor.type);
    SIGNUM_ASSIGN(const DeviceBytes bytes,
                  LoadBytes(backend_, tensor.bytes, static_cast<uint64_t>(first) * row_bytes,
                            static_cast<uint64_t>(count) * row_bytes));
    ops::MaterializeArgs args;
    args.base_type = tensor.type;
    args.base = bytes.data;
    args.out = out;
    args.rows = count;
    args.columns = tensor.shape.columns;
    backend_.Materialize(args);
    return {};
  }

  Result<void> Gather(std::string_view name, const std::vector<int32_t>& rows,
                      float* out) const override {
    SIGNUM_ASSIGN(const auto shape, Shape(name));
    for (size_t i = 0; i < rows.size(); ++i) {
      SIGNUM_TRY(Load(name, rows[i], 1, out + static_cast<int64_t>(i) * shape.columns));
    }
    return {};
  }

 private:
  struct Tensor {
    std::shared_ptr<const ByteSource> bytes;
    kernels::Element type;
    LinearShape shape;
  };

  Result<LinearShape> Shape(std::string_view name) const {
    if (const auto shape = Find(name)) return *shape;
    return Fail(Errc::kUnusable, "unknown_architecture",
                "tensor '" + Printable(name) + "' is missing or not a float matrix");
  }

  Result<Tensor> Open(std::string_view name) const {
    SIGNUM_ASSIGN(const LinearShape shape, Shape(name));
    const size_t at = *checkpoint_->Find(name);
    SIGNUM_ASSIGN(auto bytes, checkpoint_->Open(at));
    return Tensor{std::move(bytes), *ElementOf(checkpoint_->tensors()[at].dtype), shape};
  }

  ops::Backend& backend_;
  std::shared_ptr<const CheckpointSource> checkpoint_;
};

}  // namespace

std::shared_ptr<const WeightSource> MakeCheckpointWeights(
    ops::Backend& backend, std::shared_ptr<const CheckpointSource> checkpoint) {
  return std::make_shared<CheckpointWeights>(backend, std::move(checkpoint));
}

}  // namespace signum
