#pragma once

#include <memory>
#include <span>
#include <vector>

#include "gpu/serve/batch_linear.h"
#include "gpu/serve/tenant_weights.h"

namespace signum {

struct ServeEngineOptions {
  int64_t step_rows = 256;    // most tokens of a step
  int64_t block_tokens = 16;  // of the cache
  int64_t blocks = 1024;
};

// What a step does for one sequence: computes `tokens`, which follow the `position` tokens whose
// keys and values are in the cache already.
struct SequenceStep {
  const TenantWeights* weights = nullptr;
  std::span<const int32_t> tokens;
  int64_t position = 0;
  std::span<const int32_t> blocks;  // enough for position + tokens.size()
  int64_t logits_from = 0;  // logits are wanted of tokens[logits_from…]; tokens.size(): of none
};

// Runs batches of tokens of many tenants through one base: its weights are read once a step, and
// beside them each tenant's delta. The logits of a token do not depend on what else is in the step,
// nor on how a prompt was cut into steps. The cache of keys and values is allocated at the start.
// One thread at a time.
class ServeEngine {
 public:
  // `backend` computes, and outlives the engine: the base's own, or another of the same memory,
  // whose calls are the engine's alone while the base's thread loads more. Errc::kExhausted
  // device_memory; kUnavailable unsupported_device where the backend has no serving ops.
  static Result<std::unique_ptr<ServeEngine>> Create(std::shared_ptr<const BaseWeights> base,
                                                     const ServeEngineOptions& options,
                                                     ops::Backend& backend);

  // Sequences of the same weights must be neighbours. Returns the logits wanted, a row of the
  // tenant's vocabulary for each token, in order; valid until the next step. When it returns, with
  // an error too, nothing runs any more that reads the steps' weights.
  Result<std::vector<std::span<const float>>> Step(std::span<const SequenceStep> steps);

  // Whether the backend failed in a step, and still does when nothing is asked of it: so a device
  // is after an illegal access, for as long as the process lives.
  bool failed() const { return failed_; }

  const BaseWeights& base() const { return *base_; }
  const ServeEngineOptions& options() const { return options_; }
  // Bytes of the cache of keys and values for each token.
  static uint64_t CacheBytesPerToken(const LlamaConfig& config);

 private:
  // The rows of a step, as the ops want them.
  struct Batch {
    std::vector<TenantRun> runs;
    std::vector<int32_t> tokens, positions, lengths, row_tables, slots, tables;
    std::vector<int32_t> wanted;               // rows that logits are wanted of
    std::vector<int32_t> norms, wanted_norms;  // where each row's norms begin
    std::vector<TenantRun> wanted_runs;        // the same by run
    int64_t rows = 0, table_stride = 0;
  };
  // The same where the backend reads them.
  struct OnBackend {
    const int32_t *tokens = nullptr, *positions = nullptr, *lengths = nullptr;
    const int32_t *row_tables = nullptr, *slots = nullptr, *tables = nullptr, *wanted = nullptr;
    const int32_t *norms = nullptr, *wanted_norms = nullptr;
    const ops::NormWeight* weights = nullptr;  // of norms
  };

  ServeEngine(std::shared_ptr<const BaseWeights> base, ops::Backend& backend, ops::ServeOps& serve,
              const ServeEngineOptions& options);
  Result<void> Allocate();
  Batch Lay(std::span<const SequenceStep> steps) const;
  Result<void> Upload(const Batch& batch);
  Result<void> UploadNorms(const Batch& batch);
  size_t norms() const { return static_cast<size_t>(config_.layers) * 2 + 1; }  // of a model
  void Norm(size_t which, const int32_t* rows, int64_t count, const float* x, float* y);
  Result<void> Embed(std::span<const SequenceStep> steps);
  Result<std::vector<std::span<const float>>> Run(std::span<const SequenceStep> steps,
                                                  const Batch& batch);
  Result<void> RunLayer(const Batch& batch, int64_t layer);
  Result<void> Attend(const Batch& batch, int64_t layer);
  void NormHeads(const TenantRun& run, int64_t layer);
  void TurnHeads(const TenantRun& rows);
  void AttendRows(const Batch& batch, const TenantRun& rows, int64_t layer);
  Result<void> Project(const Batch& batch, int64_t layer, LinearKind kind, const float* x,
                       float* y);
  Result<std::vector<std::span<const float>>> Head(const Batch& batch);

  std::shared_ptr<const BaseWeights> base_;
  ops::Backend& backend_;
  ops::ServeOps& serve_;
  const ServeEngineOptions options_;
  const LlamaConfig& config_;
  BatchLinear linear_;
  LayerActivations acts_;
  std::vector<LayerCache> caches_;
  ops::Buffer<float> x_, last_, logits_;
  ops::Buffer<int32_t> numbers_;
  ops::Buffer<ops::NormWeight> norm_weights_;
  OnBackend device_;
  bool failed_ = false;
  std::vector<float> host_logits_;  // where the backend's memory is not the host's
};

}  // namespace signum
