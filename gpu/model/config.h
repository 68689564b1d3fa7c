#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "storage/base/result.h"

namespace signum {

// What a forward pass must know of a model of the Llama family: Llama 2 and 3, Mistral, Qwen2 and
// Qwen3 (dense), as Hugging Face transformers write it to config.json.
struct LlamaConfig {
  int64_t hidden = 0, intermediate = 0, layers = 0;
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  int64_t max_positions = 0;
  float norm_eps = 1e-6F;
  bool tied_embeddings = false;
  bool qk_norm = false;                 // RMSNorm over each head of q and k before RoPE (Qwen3)
  std::vector<int64_t> windows;         // a layer: sliding window, 0 for full attention
  std::vector<double> inverse_periods;  // RoPE: [head_dim / 2], scaled

  int64_t q_size() const { return heads * head_dim; }
  int64_t kv_size() const { return kv_heads * head_dim; }
};

// Reads a config.json. Errc::kUnusable: unknown_architecture where this is another kind of model
// (mixture of experts, another activation, another RoPE scaling: the message says what), bad_config
// where a field is missing or out of range.
Result<LlamaConfig> ParseLlamaConfig(std::string_view config_json);

}  // namespace signum
