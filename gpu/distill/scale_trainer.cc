#include "gpu/distill/scale_trainer.h"

#include <cmath>
#include <numbers>
#include <numeric>

#include "gpu/model/generate.h"

namespace signum {

std::vector<int64_t> ShuffledRows(int64_t count, uint64_t seed, uint64_t pass) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  std::iota(order.begin(), order.end(), int64_t{0});
  for (size_t i = order.size(); i > 1; --i) {
    const auto at = static_cast<size_t>(UniformDraw(seed, pass, i) * static_cast<double>(i));
    std::swap(order[i - 1], order[at]);
  }
  return order;
}

Result<std::unique_ptr<ScaleTrainer>> ScaleTrainer::Create(const Compute& compute,
                                                           const Model& model,
                                                           const TrainOptions& options,
                                                           bool keep_activations) {
  std::unique_ptr<ScaleTrainer> out(new ScaleTrainer(compute, model, options));
  SIGNUM_TRY(out->Prepare(compute, keep_activations));
  return out;
}

Result<void> ScaleTrainer::Prepare(const Compute& compute, bool keep_activations) {
  SIGNUM_ASSIGN(gradient_,
                ScaleGradient::Create(
                    compute, {model_.config, model_.student, model_.weights, model_.teacher_head},
                    options_.batch, model_.rows.tokens, keep_activations));
  const int64_t count = model_.student.scale_count();
  SIGNUM_ASSIGN(first_, MakeBuffer<float>(backend_, count));
  SIGNUM_ASSIGN(second_, MakeBuffer<float>(backend_, count));
  backend_.Zero(first_.data(), first_.size() * sizeof(float));
  backend_.Zero(second_.data(), second_.size() * sizeof(float));
  const std::vector<float> scales = Download(model_.student.scales());
  for (const auto& [name, tensor] : model_.student.tensors()) {
    for (const TensorPlane& plane : tensor.planes) {
      for (const ScaleVector* vector : {&plane.row, &plane.col}) {
        if (vector->size == 0) continue;
        double sum = 0;
        for (int64_t i = 0; i < vector->size; ++i) {
          sum += std::abs(double{scales[static_cast<size_t>(vector->offset + i)]});
        }
        const double rate = vector == &plane.col ? options_.column_rate : options_.learning_rate;
        groups_.push_back(
            {vector->offset, vector->size, rate * sum / static_cast<double>(vector->size)});
      }
    }
  }
  return {};
}

ScaleGradient::Batch ScaleTrainer::NextBatch() const {
  ScaleGradient::Batch batch;
  const int64_t count = model_.rows.count();
  std::vector<int64_t> order;
  uint64_t pass = ~uint64_t{0};
  for (int64_t i = 0; i < options_.batch; ++i) {
    const int64_t draw = step_ * options_.batch + i;
    if (const auto next = static_cast<uint64_t>(draw / count); next != pass) {
      pass = next;
      order = ShuffledRows(count, options_.seed, pass);
    }
    const int64_t row = order[static_cast<size_t>(draw % count)];
    const auto ids = model_.rows.Row(row);
    batch.ids.insert(batch.ids.end(), ids.begin(), ids.end());
    batch.teacher_hidden.push_back(model_.teacher_hidden +
                                   row * model_.rows.tokens * model_.config.hidden);
  }
  return batch;
}

Result<double> ScaleTrainer::Step() {
  model_.weights.Refresh();
  SIGNUM_ASSIGN(const double loss, gradient_->Run(NextBatch(), options_.loss));
  if (!std::isfinite(loss)) {
    return Fail(Errc::kUnusable, "loss_not_finite",
                "the loss of step " + std::to_string(step_ + 1) +
                    " is not a finite number; the scales of the step before are kept");
  }
  Update();
  ++step_;
  return loss;
}

void ScaleTrainer::Update() {
  const double share = static_cast<double>(step_) / static_cast<double>(options_.steps);
  const double cosine = 0.5 * (1 + std::cos(std::numbers::pi * share));
  for (const Group& group : groups_) {
    ops::AdamwArgs args;
    args.parameters = model_.student.scales() + group.offset;
    args.gradients = gradient_->gradient() + group.offset;
    args.first = first_.data() + group.offset;
    args.second = second_.data() + group.offset;
    args.n = group.size;
    args.step = step_ + 1;
    args.learning_rate = static_cast<float>(group.rate * cosine);
    args.epsilon = 1e-12F;
    backend_.Adamw(args);
  }
}

std::vector<float> ScaleTrainer::Download(const float* from) const {
  std::vector<float> values(static_cast<size_t>(model_.student.scale_count()));
  backend_.Download(from, values.data(), values.size() * sizeof(float));
  return values;
}

TrainState ScaleTrainer::State() const {
  return {step_, Download(model_.student.scales()), Download(first_.data()),
          Download(second_.data())};
}

Result<void> ScaleTrainer::Restore(const TrainState& state) {
  const auto count = static_cast<size_t>(model_.student.scale_count());
  if (state.step < 0 || state.step > options_.steps || state.scales.size() != count ||
      state.first.size() != count || state.second.size() != count) {
    return Fail(Errc::kCorrupt, "bad_checkpoint",
                "the training's checkpoint does not fit this delta");
  }
  step_ = state.step;
  backend_.Upload(state.scales.data(), model_.student.scales(), count * sizeof(float));
  backend_.Upload(state.first.data(), first_.data(), count * sizeof(float));
  backend_.Upload(state.second.data(), second_.data(), count * sizeof(float));
  return {};
}

}  // namespace signum
