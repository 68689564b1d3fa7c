#pragma once

#include <cstdint>

namespace signum::ops {

// What a student's logits are trained to match: the teacher's.
//   kMse  mean over rows and vocabulary of (z - t)² (BitDelta, arXiv 2402.10193, eq. 5)
//   kKl   mean over rows of KL(softmax t ‖ softmax z)
// Values are persisted: never renumber.
enum class Loss : uint8_t { kMse = 0, kKl = 1 };

// student [rows, vocabulary] is replaced by the gradient of this share of the loss, rows /
// total_rows of it; sums [rows] receives each row's sum: Σ(z - t)², or the row's KL. Softmax in
// float32, sums in double.
struct LossArgs {
  Loss loss = Loss::kMse;
  float* student = nullptr;
  const float* teacher = nullptr;
  double* sums = nullptr;
  int64_t rows = 0, vocabulary = 0, total_rows = 0;
};
void LossAndGrad(const LossArgs& args);

// How far one model's logits are from another's, a row each.
struct RowFidelity {
  double squared = 0;  // Σ(z - t)²
  double kl = 0;       // KL(softmax t ‖ softmax z), nats
  double nll = 0;      // -log softmax(z)[target]
  double teacher_nll = 0;
  bool same_top = false;  // argmax z = argmax t, the first of equals
};

// student, teacher [rows, vocabulary]; targets [rows] < vocabulary.
struct FidelityArgs {
  const float* student = nullptr;
  const float* teacher = nullptr;
  const int32_t* targets = nullptr;
  RowFidelity* out = nullptr;
  int64_t rows = 0, vocabulary = 0;
};
void CompareLogits(const FidelityArgs& args);

// -log softmax(logits)[target] a row; infinity where the target is outside the vocabulary.
struct NllArgs {
  const float* logits = nullptr;
  const int32_t* targets = nullptr;
  double* out = nullptr;
  int64_t rows = 0, vocabulary = 0;
};
void NegativeLogLikelihood(const NllArgs& args);

}  // namespace signum::ops
