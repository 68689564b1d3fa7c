#include <algorithm>

#include "gpu/kernels/bits.h"
#include "gpu/serve/tenant_weights.h"
#include "gpu/tensor_class.h"

// The embedding of a tenant: what its base and its delta make of the rows that a batch wants.

namespace signum {
namespace {

int64_t PlaceOf(const std::vector<int32_t>& rows, int32_t row) {
  const auto at = std::lower_bound(rows.begin(), rows.end(), row);
  return at != rows.end() && *at == row ? at - rows.begin() : -1;
}

ops::SignPlane FromRow(ops::SignPlane plane, int64_t row, int64_t columns) {
  const int64_t bits = row * static_cast<int64_t>(kernels::BitBytes(static_cast<size_t>(columns)));
  plane.sign += bits;
  if (plane.mask != nullptr) plane.mask += bits;
  if (!plane.one_row_scale) plane.row += row;
  return plane;
}

// One row as Materialize makes it.
ops::MaterializeArgs RowArgs(const WeightDelta& weight, int32_t token) {
  const int64_t value = weight.listed ? PlaceOf(weight.value_rows, token) : -1;
  const int64_t sign = weight.listed ? PlaceOf(weight.sign_rows, token) : token;
  const DenseMatrix& from = value >= 0 ? weight.values : *weight.base;
  ops::MaterializeArgs args;
  args.base_type = from.type;
  args.base = from.bytes.data + static_cast<uint64_t>((value >= 0 ? value : token) * from.columns) *
                                    kernels::ElementBytes(from.type);
  args.rows = 1;
  args.columns = from.columns;
  if (value >= 0 || sign < 0) return args;
  for (const ops::SignPlane& plane : weight.planes) {
    args.planes[args.plane_count++] = FromRow(plane, sign, from.columns);
  }
  return args;
}

}  // namespace

// A fine-tune may tie its head to the embedding. Rows of low rank are rounded to the fine-tune's
// dtype: the host makes them when they are asked for, a device gets them whole.
Result<void> TenantWeights::OpenEmbedding() {
  ops::Backend& backend = base_->backend();
  if (config_.tied_embeddings && (backend.host_memory() || head_.a.rows == 0)) return {};
  SIGNUM_ASSIGN(embedding_, OpenWeight(kEmbeddingName, base_->embedding()));
  if (backend.host_memory() || embedding_->a.rows == 0) return {};
  const TensorInfo& info = fine_->tensors()[*fine_->Find(kEmbeddingName)];
  SIGNUM_ASSIGN(auto bytes, rebuilder_->OpenTensor(kEmbeddingName));
  DenseMatrix whole{*ElementOf(info.dtype), {}, embedding_->rows, base_->embedding().columns};
  SIGNUM_ASSIGN(whole.bytes, LoadBytes(backend, std::move(bytes), 0, info.bytes()));
  own_.push_back(std::make_unique<const DenseMatrix>(std::move(whole)));
  embedding_->base = own_.back().get();
  embedding_->a = embedding_->b = {};
  return {};
}

Result<void> TenantWeights::Embed(ops::Backend& backend, std::span<const int32_t> tokens,
                                  const int32_t* tokens_at, float* out) const {
  const WeightDelta& weight = embedding();
  if (weight.a.rows > 0) {
    return source_->Gather(kEmbeddingName, {tokens.begin(), tokens.end()}, out);
  }
  const DenseMatrix& base = *weight.base;
  if (weight.plain() && weight.planes.empty()) {
    backend.GatherRows({base.type, base.bytes.data, tokens_at, out,
                        static_cast<int64_t>(tokens.size()), base.columns});
    return {};
  }
  for (const int32_t token : tokens) {
    ops::MaterializeArgs args = RowArgs(weight, token);
    args.out = out;
    backend.Materialize(args);
    out += base.columns;
  }
  return {};
}

}  // namespace signum
