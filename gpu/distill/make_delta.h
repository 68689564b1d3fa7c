#pragma once

#include <optional>
#include <string>

#include "gpu/compress.h"
#include "gpu/cuda_module.h"
#include "gpu/distill/device_pool.h"
#include "gpu/distill/distill.h"

// The whole way from a fine-tune to its delta file, as the registry's worker and `signum diff` go
// it: compress, distil, measure, hold against a gate.

namespace signum {

// What a delta must reach to be used.
struct Gate {
  std::optional<double> max_kl;    // nats
  std::optional<double> min_top1;  // share of targets

  bool asked() const { return max_kl || min_top1; }
  // Nothing where it passes, else why not, with the figures.
  std::optional<std::string> Refuses(const Fidelity& fidelity) const;
};

struct MakeDeltaOptions {
  CompressOptions compress;
  DistillOptions distill;
  Gate gate;
  BackendOptions backend;         // of the device that distils
  DevicePool* devices = nullptr;  // where that device comes from and goes; null: opened for this
};

struct MakeDeltaProgress {
  std::string_view phase;   // compress, or DistillProgress's
  double done = 0;          // of the phase, 0…1
  std::string_view tensor;  // while it compresses
  DistillProgress distill;
};
using MakeDeltaCallback = std::function<bool(const MakeDeltaProgress&)>;

struct MadeDelta {
  CompressSummary summary;
  Method method = Method::kNone;  // what was done,
  std::string method_note;        // and why, where another was asked for
  // Why not on the device that was asked for, or is there; "" where `auto` found neither driver nor
  // module.
  std::string device_note;
  bool exact_embeddings = false;           // likewise: a gate may have wanted them
  std::optional<DistillReport> distilled;  // with the fidelity; nothing where it was not measured
  std::optional<std::string> refused;      // by the gate, and why
};

// What is compressed: `models` with the recipe and small files of the fine-tune.
struct FineTune {
  const DeltaModels& models;
  const Recipe& recipe;
  const BlobSource& blobs;
};

// Makes `output`. A model that cannot be run (CheckDistillable) is compressed all the same, and
// method_note says why it was not distilled; with a gate that is an error, as nothing can be
// measured. Where the gate refuses a delta with embeddings of one bit, exact ones are tried. What
// the gate refuses in the end is still made. Errors as CompressCheckpoint and DistillDelta.
Result<MadeDelta> MakeDelta(const FineTune& fine, const MakeDeltaOptions& options,
                            const std::filesystem::path& output, const MakeDeltaCallback& callback);

}  // namespace signum
