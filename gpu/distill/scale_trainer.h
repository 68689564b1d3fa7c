#pragma once

#include "gpu/distill/scale_gradient.h"

namespace signum {

// How the scales of a delta are trained.
struct TrainOptions {
  int64_t steps = 200;
  int64_t batch = 4;  // token rows a step
  ops::Loss loss = ops::Loss::kMse;
  // Of AdamW, in units of a vector of scales' own mean at the start, so that it means the same for
  // weights of any size; falls to 0 along a cosine.
  double learning_rate = 0.03;
  double column_rate = 0.03;  // of column scales
  uint64_t seed = 0;          // order of the rows
};

// What a training needs to go on from where it was.
struct TrainState {
  int64_t step = 0;  // steps done
  std::vector<float> scales, first, second;
};

// Trains a student's scales to match a teacher's logits on calibration rows: AdamW with a cosine
// schedule (arXiv 2402.10193, section 3.1). The same rows, options and device give the same scales.
class ScaleTrainer {
 public:
  struct Model {
    const LlamaConfig& config;
    Student& student;
    ModelWeights& weights;        // the student's
    const float* teacher_head;    // [vocabulary, hidden]
    const TokenRows& rows;        // calibration
    const float* teacher_hidden;  // [rows · tokens, hidden], of the teacher on these rows
  };
  static Result<std::unique_ptr<ScaleTrainer>> Create(const Compute& compute, const Model& model,
                                                      const TrainOptions& options,
                                                      bool keep_activations);

  // One step; returns the loss before it. Errc::kUnusable loss_not_finite naming the step; the
  // scales are then as they were before it.
  Result<double> Step();
  int64_t step() const { return step_; }
  bool done() const { return step_ >= options_.steps; }

  TrainState State() const;
  // Goes on from a state of the same model; Errc::kCorrupt where it does not fit.
  Result<void> Restore(const TrainState& state);

 private:
  struct Group {  // one vector of scales
    int64_t offset, size;
    double rate;
  };
  ScaleTrainer(const Compute& compute, const Model& model, const TrainOptions& options)
      : backend_(compute.backend), model_(model), options_(options) {}
  Result<void> Prepare(const Compute& compute, bool keep_activations);
  ScaleGradient::Batch NextBatch() const;
  void Update();
  std::vector<float> Download(const float* from) const;

  ops::Backend& backend_;
  const Model model_;
  const TrainOptions options_;
  std::unique_ptr<ScaleGradient> gradient_;
  std::vector<Group> groups_;
  ops::Buffer<float> first_, second_;
  int64_t step_ = 0;
};

// Row i of the order a seed gives `count` rows in pass `pass`: a permutation (Fisher-Yates).
std::vector<int64_t> ShuffledRows(int64_t count, uint64_t seed, uint64_t pass);

}  // namespace signum
