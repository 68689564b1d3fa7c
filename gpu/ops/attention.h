#pragma once

#include <cstdint>

namespace signum::ops {

// Causal attention with grouped queries (arXiv 1706.03762, 2305.13245) and an optional sliding
// window: query i of a sequence sees keys j <= i with i - j < window (window <= 0: all). Query head
// h reads key head h / (heads / kv_heads); scores are divided by sqrt(head_dim).
struct AttentionShape {
  int64_t batch = 0, tokens = 0;  // sequences, and the tokens of each
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  int64_t window = 0;
};

// q, out [batch · tokens, heads · head_dim]; k, v [batch · tokens, kv_heads · head_dim].
struct AttentionArgs {
  AttentionShape shape;
  const float* q = nullptr;
  const float* k = nullptr;
  const float* v = nullptr;
  float* out = nullptr;
};
void Attention(const AttentionArgs& args);

// dq, dk, dv for dout; the probabilities are computed again. All are overwritten.
struct AttentionBackwardArgs {
  AttentionShape shape;
  const float* q = nullptr;
  const float* k = nullptr;
  const float* v = nullptr;
  const float* dout = nullptr;
  float* dq = nullptr;
  float* dk = nullptr;
  float* dv = nullptr;
};
void AttentionBackward(const AttentionBackwardArgs& args);

// One new token a sequence over a cache: q, out [batch, heads · head_dim]; k_cache, v_cache
// [batch, capacity, kv_heads · head_dim] hold `length` tokens, the newest last (written by the
// caller). shape.tokens is not used.
struct DecodeAttentionArgs {
  AttentionShape shape;
  const float* q = nullptr;
  const float* k_cache = nullptr;
  const float* v_cache = nullptr;
  float* out = nullptr;
  int64_t capacity = 0, length = 0;
};
void DecodeAttention(const DecodeAttentionArgs& args);

}  // namespace signum::ops
