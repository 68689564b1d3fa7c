#pragma once

#include <span>
#include <vector>

#include "gpu/ops/serve_ops.h"
#include "gpu/serve/tenant_weights.h"

namespace signum {

// Rows of a batch that belong to one model; runs lie one after another.
struct TenantRun {
  int64_t first = 0, count = 0;
  const TenantWeights* weights = nullptr;
};

// y = x Wᵀ for a batch whose runs have a weight each: one pass over a matrix that several runs
// share, with the first plane of each run's signs in it; then what the other codecs add. A row's
// result depends on that row and its own weight alone. Not thread-safe.
class BatchLinear {
 public:
  BatchLinear(ops::Backend& backend, ops::ServeOps& serve) : backend_(backend), serve_(serve) {}

  struct Part {
    TenantRun run;
    const WeightDelta* weight;
    float* y;  // [run.count, weight->rows]; of parts of equal shape one after another
  };
  // x [rows of the batch, columns]. Parts are in the order of their runs.
  Result<void> Apply(std::span<const Part> parts, const float* x, int64_t columns);

 private:
  Result<void> ApplyGroup(std::span<const Part> parts, const float* x, int64_t columns);
  Result<void> Product(std::span<const Part> parts, const DenseMatrix& base, const float* x,
                       float* y);
  Result<void> AddRest(const Part& part, const float* x, int64_t columns);
  Result<void> AddPlanes(std::span<const ops::SignPlane> planes, const float* x, float* y,
                         int64_t m, int64_t rows, int64_t columns);
  Result<void> AddLowrank(const Part& part, const float* x);
  Result<void> SetListed(const Part& part, const float* x, int64_t columns);
  Result<void> Multiply(const DenseMatrix& matrix, const float* x, float* y, int64_t m);

  // Host values where the backend reads them, until the next call for the same slot.
  template <class T>
  Result<const T*> Put(const std::vector<T>& values, ops::Buffer<T>& slot);
  Result<float*> Scratch(ops::Buffer<float>& buffer, int64_t size);

  ops::Backend& backend_;
  ops::ServeOps& serve_;
  ops::Buffer<ops::SignPlane> planes_;
  ops::Buffer<int32_t> tenants_;
  ops::Buffer<float> first_, second_;
};

}  // namespace signum
