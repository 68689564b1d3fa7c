#pragma once

#include <cstdint>

namespace signum::ops {

// One AdamW step (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2) on n float32 parameters;
// `step` counts from 1.
struct AdamwArgs {
  float* parameters = nullptr;
  const float* gradients = nullptr;
  float* first = nullptr;   // running mean of the gradients
  float* second = nullptr;  // and of their squares
  int64_t n = 0, step = 1;
  float learning_rate = 1e-4F;
  float beta1 = 0.9F, beta2 = 0.999F, epsilon = 1e-8F, weight_decay = 0;
};
void Adamw(const AdamwArgs& args);

}  // namespace signum::ops
