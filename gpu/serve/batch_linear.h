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
// result depends on that row and its own weight alone. What the ops need to know of the runs goes
// to the backend once a step. Not thread-safe.
class BatchLinear {
 public:
  BatchLinear(ops::Backend& backend, ops::ServeOps& serve) : backend_(backend), serve_(serve) {}

  // A step's rows begin: all of them, and those that logits are wanted of, as runs of the same
  // models in the same order (some of them perhaps empty).
  Result<void> Begin(std::span<const TenantRun> runs, std::span<const TenantRun> wanted);

  // Which of the two a product is of.
  enum class Rows { kAll, kWanted };
  struct Part {
    size_t run;  // its number
    float* y;    // [rows of the run, rows of its weight]; of parts of equal shape one after another
  };
  // Weight number `weight` (TenantWeights) of some runs, in their order; x [rows, columns].
  Result<void> Apply(Rows rows, size_t weight, std::span<const Part> parts, const float* x,
                     int64_t columns);

 private:
  // A run's part in a product.
  struct Share {
    size_t run;
    TenantRun rows;
    const WeightDelta* weight;
    float* y;
  };
  Result<void> ApplyGroup(Rows rows, size_t weight, std::span<const Share> group, const float* x,
                          int64_t columns);
  void Product(Rows rows, size_t weight, std::span<const Share> group, const float* x, float* y);
  Result<void> AddRest(size_t weight, const Share& share, const float* x, int64_t columns);
  void AddPlanes(const ops::SignPlane* planes, size_t count, const float* x, float* y, int64_t m,
                 int64_t rows, int64_t columns);
  Result<void> AddLowrank(const Share& share, const float* x);
  Result<void> SetListed(const Share& share, const ops::SignPlane* planes, const float* x,
                         int64_t columns);
  void Multiply(const DenseMatrix& matrix, const float* x, float* y, int64_t m);

  // Host values where the backend reads them, until the next step.
  template <class T>
  Result<const T*> Put(const std::vector<T>& values, ops::Buffer<T>& slot);
  Result<float*> Scratch(ops::Buffer<float>& buffer, int64_t size);

  ops::Backend& backend_;
  ops::ServeOps& serve_;
  std::vector<TenantRun> runs_, wanted_;
  size_t weights_ = 0;  // of a model
  // Of run r and weight w: its first plane at r · weights_ + w, or one without signs; what else it
  // has from others_[r · weights_ + w] on.
  std::vector<ops::SignPlane> planes_;
  std::vector<size_t> others_;
  // Each row's r · weights_, of all rows and of the wanted ones; as many zeros, and as many -1.
  std::vector<int32_t> tenants_;
  const ops::SignPlane* planes_at_ = nullptr;  // both where the backend reads them
  const int32_t *all_at_ = nullptr, *wanted_at_ = nullptr, *zeros_at_ = nullptr;
  const int32_t* nobody_at_ = nullptr;
  ops::Buffer<ops::SignPlane> planes_slot_;
  ops::Buffer<int32_t> tenants_slot_;
  ops::Buffer<float> first_, second_;
};

}  // namespace signum
