#include "gpu/serve/batch_linear.h"

#include "gpu/ops/delta_ops.h"

namespace signum {

template <class T>
Result<const T*> BatchLinear::Put(const std::vector<T>& values, ops::Buffer<T>& slot) {
  if (backend_.host_memory()) return values.data();
  if (slot.size() < values.size()) {
    SIGNUM_ASSIGN(slot, MakeBuffer<T>(backend_, static_cast<int64_t>(values.size()) * 2));
  }
  backend_.Upload(values.data(), slot.data(), values.size() * sizeof(T));
  return static_cast<const T*>(slot.data());
}

Result<float*> BatchLinear::Scratch(ops::Buffer<float>& buffer, int64_t size) {
  if (static_cast<int64_t>(buffer.size()) < size) {
    SIGNUM_ASSIGN(buffer, MakeBuffer<float>(backend_, size));
  }
  return buffer.data();
}

// ---- a step

Result<void> BatchLinear::Begin(std::span<const TenantRun> runs,
                                std::span<const TenantRun> wanted) {
  runs_.assign(runs.begin(), runs.end());
  wanted_.assign(wanted.begin(), wanted.end());
  weights_ = runs.empty() ? 0 : runs[0].weights->weights();
  planes_.assign(runs.size() * weights_, {});
  others_.assign(planes_.size(), 0);
  for (size_t at = 0; at < others_.size(); ++at) {
    const WeightDelta& weight = runs[at / weights_].weights->weight(at % weights_);
    const size_t first = weight.plain() ? 1 : 0;  // signs of listed rows are no plane of the whole
    if (first == 1 && !weight.planes.empty()) planes_[at] = weight.planes[0];
    others_[at] = planes_.size();
    for (size_t p = first; p < weight.planes.size(); ++p) planes_.push_back(weight.planes[p]);
  }
  tenants_.clear();
  const auto append = [&](std::span<const TenantRun> of) {
    for (size_t r = 0; r < of.size(); ++r) {
      tenants_.insert(tenants_.end(), static_cast<size_t>(of[r].count),
                      static_cast<int32_t>(r * weights_));
    }
    return tenants_.size();
  };
  const size_t all = append(runs);
  const size_t zeros = append(wanted);
  tenants_.resize(zeros + all, 0);
  tenants_.resize(zeros + 2 * all, -1);
  SIGNUM_ASSIGN(planes_at_, Put(planes_, planes_slot_));
  SIGNUM_ASSIGN(all_at_, Put(tenants_, tenants_slot_));
  wanted_at_ = all_at_ + all;
  zeros_at_ = all_at_ + zeros;
  nobody_at_ = zeros_at_ + all;
  return {};
}

// ---- products

Result<void> BatchLinear::Apply(Rows rows, size_t weight, std::span<const Part> parts,
                                const float* x, int64_t columns) {
  const std::vector<TenantRun>& runs = rows == Rows::kAll ? runs_ : wanted_;
  std::vector<Share> shares;
  for (const Part& part : parts) {
    const TenantRun& run = runs[part.run];
    shares.push_back({part.run, run, &run.weights->weight(weight), part.y});
  }
  for (size_t begin = 0; begin < shares.size();) {
    size_t end = begin + 1;
    const WeightDelta& first = *shares[begin].weight;
    while (end < shares.size() && shares[end].weight->base == first.base &&
           shares[end].weight->rows == first.rows) {
      ++end;
    }
    const auto group = std::span<const Share>(shares).subspan(begin, end - begin);
    SIGNUM_TRY(ApplyGroup(rows, weight, group, x, columns));
    begin = end;
  }
  for (const Share& share : shares) SIGNUM_TRY(AddRest(weight, share, x, columns));
  return {};
}

// One pass over the base. A grown weight gets the base's outputs first; its other rows are listed.
Result<void> BatchLinear::ApplyGroup(Rows rows, size_t weight, std::span<const Share> group,
                                     const float* x, int64_t columns) {
  const WeightDelta& of = *group[0].weight;
  const int64_t outputs = of.base->rows;
  const float* from = x + group[0].rows.first * columns;
  if (of.rows == outputs) {
    Product(rows, weight, group, from, group[0].y);
    return {};
  }
  const int64_t m = group.back().rows.first + group.back().rows.count - group[0].rows.first;
  SIGNUM_ASSIGN(float* y, Scratch(first_, m * outputs));
  Product(rows, weight, group, from, y);
  backend_.CopyRows({y, group[0].y, m, outputs, outputs, of.rows});
  return {};
}

void BatchLinear::Product(Rows rows, size_t weight, std::span<const Share> group, const float* x,
                          float* y) {
  const DenseMatrix& base = *group[0].weight->base;
  const int64_t first = group[0].rows.first;
  ops::TenantProductArgs args;
  args.base_type = base.type;
  args.base = base.bytes.data;
  args.deltas = planes_at_ + weight;
  args.tenants = (rows == Rows::kAll ? all_at_ : wanted_at_) + first;
  args.x = x;
  args.y = y;
  args.m = group.back().rows.first + group.back().rows.count - first;
  args.rows = base.rows;
  args.columns = base.columns;
  ops::DeltaOpsOf(backend_).TenantProduct(args);
}

Result<void> BatchLinear::AddRest(size_t weight, const Share& share, const float* x,
                                  int64_t columns) {
  const WeightDelta& of = *share.weight;
  const float* from = x + share.rows.first * columns;
  const ops::SignPlane* planes = planes_at_ + others_[share.run * weights_ + weight];
  if (of.listed) return SetListed(share, planes, from, columns);
  if (of.a.rows > 0) return AddLowrank(share, from);
  if (of.planes.size() > 1) {
    AddPlanes(planes, of.planes.size() - 1, from, share.y, share.rows.count, of.rows, columns);
  }
  return {};
}

void BatchLinear::AddPlanes(const ops::SignPlane* planes, size_t count, const float* x, float* y,
                            int64_t m, int64_t rows, int64_t columns) {
  ops::TenantProductArgs args;
  args.tenants = zeros_at_;
  args.x = x;
  args.y = y;
  args.m = m;
  args.rows = rows;
  args.columns = columns;
  for (size_t p = 0; p < count; ++p) {
    args.deltas = planes + p;
    ops::DeltaOpsOf(backend_).TenantProduct(args);
  }
}

void BatchLinear::Multiply(const DenseMatrix& matrix, const float* x, float* y, int64_t m) {
  ops::TenantProductArgs args;
  args.base_type = matrix.type;
  args.base = matrix.bytes.data;
  args.tenants = nobody_at_;
  args.x = x;
  args.y = y;
  args.m = m;
  args.rows = matrix.rows;
  args.columns = matrix.columns;
  ops::DeltaOpsOf(backend_).TenantProduct(args);
}

// y += (x aᵀ) bᵀ.
Result<void> BatchLinear::AddLowrank(const Share& share, const float* x) {
  const WeightDelta& weight = *share.weight;
  const int64_t m = share.rows.count;
  SIGNUM_ASSIGN(float* narrow, Scratch(first_, m * weight.a.rows));
  SIGNUM_ASSIGN(float* wide, Scratch(second_, m * weight.rows));
  Multiply(weight.a, x, narrow, m);
  Multiply(weight.b, narrow, wide, m);
  backend_.Add({share.y, wide, share.y, m * weight.rows});
  return {};
}

Result<void> BatchLinear::SetListed(const Share& share, const ops::SignPlane* planes,
                                    const float* x, int64_t columns) {
  const WeightDelta& weight = *share.weight;
  const int64_t m = share.rows.count;
  const auto signs = static_cast<int64_t>(weight.sign_rows.size());
  if (signs > 0) {
    SIGNUM_ASSIGN(float* y, Scratch(first_, m * signs));
    backend_.Zero(y, static_cast<size_t>(m * signs) * sizeof(float));
    AddPlanes(planes, weight.planes.size(), x, y, m, signs, columns);
    serve_.ScatterColumns({y, weight.sign_rows_at(), share.y, m, signs, weight.rows, true});
  }
  if (weight.values.rows > 0) {
    SIGNUM_ASSIGN(float* y, Scratch(first_, m * weight.values.rows));
    Multiply(weight.values, x, y, m);
    serve_.ScatterColumns(
        {y, weight.value_rows_at(), share.y, m, weight.values.rows, weight.rows, false});
  }
  return {};
}

}  // namespace signum
