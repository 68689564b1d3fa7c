#pragma once

#include <cstdint>

namespace signum::ops {

// One token a row, drawn from softmax(logits / temperature); temperature 0 takes the largest (the
// first of equals). uniform [rows] holds a number in [0, 1) for each row: the token is the first
// whose cumulative probability exceeds it.
struct SampleArgs {
  const float* logits = nullptr;  // [rows, vocabulary]
  const float* uniform = nullptr;
  int32_t* tokens = nullptr;
  int64_t rows = 0, vocabulary = 0;
  float temperature = 1;
};
void Sample(const SampleArgs& args);

}  // namespace signum::ops
