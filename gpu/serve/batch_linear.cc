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

Result<void> BatchLinear::Apply(std::span<const Part> parts, const float* x, int64_t columns) {
  for (size_t begin = 0; begin < parts.size();) {
    size_t end = begin + 1;
    const WeightDelta& first = *parts[begin].weight;
    while (end < parts.size() && parts[end].weight->base == first.base &&
           parts[end].weight->rows == first.rows) {
      ++end;
    }
    SIGNUM_TRY(ApplyGroup(parts.subspan(begin, end - begin), x, columns));
    begin = end;
  }
  for (const Part& part : parts) SIGNUM_TRY(AddRest(part, x, columns));
  return {};
}

// One pass over the base. A grown weight gets the base's outputs first; its other rows are listed.
Result<void> BatchLinear::ApplyGroup(std::span<const Part> parts, const float* x, int64_t columns) {
  const WeightDelta& weight = *parts[0].weight;
  const DenseMatrix& base = *weight.base;
  const float* from = x + parts[0].run.first * columns;
  if (weight.rows == base.rows) return Product(parts, base, from, parts[0].y);
  const int64_t m = parts.back().run.first + parts.back().run.count - parts[0].run.first;
  SIGNUM_ASSIGN(float* y, Scratch(first_, m * base.rows));
  SIGNUM_TRY(Product(parts, base, from, y));
  backend_.CopyRows({y, parts[0].y, m, base.rows, base.rows, weight.rows});
  return {};
}

Result<void> BatchLinear::Product(std::span<const Part> parts, const DenseMatrix& base,
                                  const float* x, float* y) {
  std::vector<ops::SignPlane> planes;
  std::vector<int32_t> tenants;
  for (const Part& part : parts) {
    const bool signs = part.weight->plain() && !part.weight->planes.empty();
    const int32_t tenant = signs ? static_cast<int32_t>(planes.size()) : -1;
    if (signs) planes.push_back(part.weight->planes[0]);
    tenants.insert(tenants.end(), static_cast<size_t>(part.run.count), tenant);
  }
  ops::TenantProductArgs args;
  args.base_type = base.type;
  args.base = base.bytes.data;
  SIGNUM_ASSIGN(args.deltas, Put(planes, planes_));
  SIGNUM_ASSIGN(args.tenants, Put(tenants, tenants_));
  args.x = x;
  args.y = y;
  args.m = static_cast<int64_t>(tenants.size());
  args.rows = base.rows;
  args.columns = base.columns;
  ops::DeltaOpsOf(backend_).TenantProduct(args);
  return {};
}

Result<void> BatchLinear::AddRest(const Part& part, const float* x, int64_t columns) {
  const WeightDelta& weight = *part.weight;
  const float* from = x + part.run.first * columns;
  if (weight.listed) return SetListed(part, from, columns);
  if (weight.a.rows > 0) return AddLowrank(part, from);
  if (weight.planes.size() < 2) return {};
  return AddPlanes(std::span(weight.planes).subspan(1), from, part.y, part.run.count, weight.rows,
                   columns);
}

Result<void> BatchLinear::AddPlanes(std::span<const ops::SignPlane> planes, const float* x,
                                    float* y, int64_t m, int64_t rows, int64_t columns) {
  const std::vector<int32_t> tenants(static_cast<size_t>(m), 0);
  for (const ops::SignPlane& plane : planes) {
    const std::vector<ops::SignPlane> one{plane};
    ops::TenantProductArgs args;
    SIGNUM_ASSIGN(args.deltas, Put(one, planes_));
    SIGNUM_ASSIGN(args.tenants, Put(tenants, tenants_));
    args.x = x;
    args.y = y;
    args.m = m;
    args.rows = rows;
    args.columns = columns;
    ops::DeltaOpsOf(backend_).TenantProduct(args);
  }
  return {};
}

Result<void> BatchLinear::Multiply(const DenseMatrix& matrix, const float* x, float* y, int64_t m) {
  const std::vector<int32_t> nobody(static_cast<size_t>(m), -1);
  ops::TenantProductArgs args;
  args.base_type = matrix.type;
  args.base = matrix.bytes.data;
  SIGNUM_ASSIGN(args.tenants, Put(nobody, tenants_));
  args.x = x;
  args.y = y;
  args.m = m;
  args.rows = matrix.rows;
  args.columns = matrix.columns;
  ops::DeltaOpsOf(backend_).TenantProduct(args);
  return {};
}

// y += (x aᵀ) bᵀ.
Result<void> BatchLinear::AddLowrank(const Part& part, const float* x) {
  const WeightDelta& weight = *part.weight;
  const int64_t m = part.run.count;
  SIGNUM_ASSIGN(float* narrow, Scratch(first_, m * weight.a.rows));
  SIGNUM_ASSIGN(float* wide, Scratch(second_, m * weight.rows));
  SIGNUM_TRY(Multiply(weight.a, x, narrow, m));
  SIGNUM_TRY(Multiply(weight.b, narrow, wide, m));
  backend_.Add({part.y, wide, part.y, m * weight.rows});
  return {};
}

Result<void> BatchLinear::SetListed(const Part& part, const float* x, int64_t columns) {
  const WeightDelta& weight = *part.weight;
  const int64_t m = part.run.count;
  const auto signs = static_cast<int64_t>(weight.sign_rows.size());
  const auto rows_of = [](const DeviceBytes& bytes) {
    return reinterpret_cast<const int32_t*>(bytes.data);
  };
  if (signs > 0) {
    SIGNUM_ASSIGN(float* y, Scratch(first_, m * signs));
    backend_.Zero(y, static_cast<size_t>(m * signs) * sizeof(float));
    SIGNUM_TRY(AddPlanes(weight.planes, x, y, m, signs, columns));
    serve_.ScatterColumns(
        {y, rows_of(weight.sign_rows_device), part.y, m, signs, weight.rows, true});
  }
  if (weight.values.rows > 0) {
    SIGNUM_ASSIGN(float* y, Scratch(first_, m * weight.values.rows));
    SIGNUM_TRY(Multiply(weight.values, x, y, m));
    serve_.ScatterColumns(
        {y, rows_of(weight.value_rows_device), part.y, m, weight.values.rows, weight.rows, false});
  }
  return {};
}

}  // namespace signum
