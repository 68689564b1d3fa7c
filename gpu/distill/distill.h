#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "gpu/distill/fidelity.h"
#include "gpu/distill/kept_base.h"
#include "gpu/distill/scale_trainer.h"
#include "gpu/rebuild.h"

// What server/ and client/ use: a delta made better after it was compressed, and measured.

namespace signum {

enum class Method : uint8_t {
  kNone = 0,       // signs and scales by least squares on the weights
  kLayerwise = 1,  // signs and row scales by least squares on each layer's outputs
  kDistill = 2,    // scales trained on logits
};
std::string_view MethodName(Method method);  // "distill"
std::optional<Method> MethodFromName(std::string_view name);

std::string_view LossName(ops::Loss loss);  // "mse", "kl"
std::optional<ops::Loss> LossFromName(std::string_view name);

struct DistillOptions {
  Method method = Method::kDistill;
  TrainOptions train;
  // Whether training begins with layerwise signs; else with the paper's, bit = Δ >= 0.
  bool layerwise_first = true;
  // Text that the fine-tune writes itself, or the publisher's rows.
  int64_t calibration_rows = 200;
  int64_t row_tokens = 128;
  int64_t held_out_rows = 16;  // of them, for the fidelity
  std::optional<TokenRows> calibration;
  int threads = 0;            // 0: one a core
  uint64_t memory_bytes = 0;  // what models in float32 may take; 0: half of what is free
  // Of the backend: what stays there of the base afterwards, if anything. Never changes the result.
  KeptBase* kept = nullptr;
  // Of the backend too: whether its products are float32. A state of others is not gone on with.
  bool exact_products = true;
  // Where a training keeps its state, to go on from after a kill; empty: nowhere.
  std::filesystem::path state_file;
};

// The checkpoints of a delta.
struct DeltaModels {
  std::shared_ptr<const CheckpointSource> base;
  std::string base_config;  // config.json
  Digest base_digest;
  std::shared_ptr<const BaseBlobs> base_blobs;
  std::shared_ptr<const CheckpointSource> fine;
  std::string fine_config;
};

struct DistillProgress {
  std::string_view phase;  // calibrate, layerwise, distill, evaluate
  double done = 0;         // of the phase, 0…1
  int64_t step = 0, steps = 0;
  double loss = 0;              // of the newest step
  double steps_per_second = 0;  // 0 where not known yet
};
// Returning false stops with Errc::kCancelled.
using DistillCallback = std::function<bool(const DistillProgress&)>;

struct DistillReport {
  DeltaWriter::Sealed sealed;
  int64_t steps = 0, calibration_tokens = 0;
  double first_loss = 0, last_loss = 0;
  Fidelity fidelity;
};

// Why a model cannot be distilled: Errc::kUnusable unknown_architecture. Reads no weights.
Result<void> CheckDistillable(const DeltaModels& models);

// Reads `delta`, trains, and writes a delta of the same tensors to `output` (another path). Same
// input, options and device: same bytes. Errc::kUnusable: unknown_architecture, token_out_of_range,
// no_tokens, loss_not_finite (the state file keeps the last good scales); kExhausted device_memory;
// kCancelled.
Result<DistillReport> DistillDelta(ops::Backend& backend, const DeltaModels& models,
                                   const std::shared_ptr<const DeltaReader>& delta,
                                   const DistillOptions& options,
                                   const std::filesystem::path& output,
                                   const DistillCallback& callback);

// Measures a delta on rows of tokens (one more than the inputs each).
Result<Fidelity> EvaluateDelta(ops::Backend& backend, const DeltaModels& models,
                               const std::shared_ptr<const DeltaReader>& delta,
                               const TokenRows& rows, int threads, uint64_t memory_bytes,
                               const DistillCallback& callback);

}  // namespace signum
