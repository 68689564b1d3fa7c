#pragma once

#include "gpu/model/weights.h"

namespace signum {

// cos and sin of every position and pair, [positions, head_dim / 2] each, in the backend's memory.
struct RopeTable {
  ops::Buffer<float> cos, sin;
  int64_t positions = 0;

  static Result<RopeTable> Create(ops::Backend& backend, const LlamaConfig& config,
                                  int64_t positions);
};

// What one layer computes for `rows` tokens and its backward pass needs. Whole batch; each thread
// works on the rows of its own sequences.
struct LayerActivations {
  ops::Buffer<float> normed, q, k, v, attended, middle, middle_normed, gate, up, gated;
  ops::Buffer<float> inverse, middle_inverse;             // 1 / rms, a row
  ops::Buffer<float> q_raw, k_raw, q_inverse, k_inverse;  // before the head norms, where any

  static Result<LayerActivations> Create(ops::Backend& backend, const LlamaConfig& config,
                                         int64_t rows);
};

// Gradients of the loss for the outputs of a layer's linear products: what the gradients of their
// scales are made of. dout is the gradient for the layer's output (and down_proj's).
struct LayerGrads {
  ops::Buffer<float> dq, dk, dv, dmiddle, dgate, dup;  // dmiddle: o_proj's output too
  ops::Buffer<float> dattended, dnormed;               // scratch

  static Result<LayerGrads> Create(ops::Backend& backend, const LlamaConfig& config, int64_t rows);
};

// One transformer layer of a model on one backend.
struct LayerRun {
  ops::Backend& backend;
  const LlamaConfig& config;
  const RopeTable& rope;
  int64_t layer = 0;
  const LayerWeights& weights;
};

// output[rows, hidden] = layer(input[rows, hidden]) for some sequences of a batch; pointers are to
// the batch's first row. output may be input only where no backward pass follows.
void ForwardLayer(const LayerRun& run, const Sequences& sequences, const float* input,
                  LayerActivations& acts, float* output);

// dinput = ∂L/∂input for dout = ∂L/∂output, filling grads; acts and input as ForwardLayer left
// them. dinput must not be dout.
void BackwardLayer(const LayerRun& run, const Sequences& sequences, const float* input,
                   const LayerActivations& acts, const float* dout, LayerGrads& grads,
                   float* dinput);

// Keys and values of one layer, [batch, capacity, kv_size] each.
struct LayerCache {
  ops::Buffer<float> k, v;
  int64_t capacity = 0;
};

// One token a sequence, at `position` of every one: appends to the cache. In place over `x`
// [batch, hidden]. sequences.tokens is 1.
void DecodeLayer(const LayerRun& run, const Sequences& sequences, int64_t position,
                 LayerActivations& acts, LayerCache& cache, float* x);

}  // namespace signum
