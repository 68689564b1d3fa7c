#pragma once

#include <cstdint>

namespace signum::ops {

// Rotary position embedding (arXiv 2104.09864, in the half-split layout of Llama): of each head's
// vector, element i < head_dim / 2 and element i + head_dim / 2 turn by the angle of
// (position, i). x [rows, heads, head_dim] in place; row r is at position
// first_position + r % tokens, or at positions[r] where they are given. cos, sin [positions,
// head_dim / 2]. `inverse` turns back, which is the backward pass.
struct RopeArgs {
  float* x = nullptr;
  const float* cos = nullptr;
  const float* sin = nullptr;
  int64_t rows = 0, tokens = 1, first_position = 0;
  int64_t heads = 0, head_dim = 0;
  bool inverse = false;
  const int32_t* positions = nullptr;  // [rows]
};
void Rope(const RopeArgs& args);

}  // namespace signum::ops
