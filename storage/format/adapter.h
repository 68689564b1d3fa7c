#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/format/checkpoint.h"

namespace signum {

// A LoRA adapter as PEFT saves one: adapter_config.json and adapter_model.safetensors. Its weights
// are the base's plus scale · B A.

// What an adapter adds to one weight of the base.
struct AdapterWeight {
  std::string weight;   // the base's name of it: "model.layers.0.self_attn.q_proj.weight"
  size_t a = 0, b = 0;  // its factors [r, K] and [N, r] in the adapter's tensors()
  float scale = 1;      // lora_alpha / r, or lora_alpha / √r with use_rslora
};

// True for files that are an adapter rather than a checkpoint of their own.
bool IsAdapter(const std::vector<CheckpointFile>& files);

// The weights of an adapter that Checkpoint::Parse has read, ascending by name. Errc::kUnusable:
// bad_adapter (a field, or a tensor whose name, shape or dtype does not fit), unsupported_adapter
// (another kind than LoRA, DoRA, biases, embeddings, modules_to_save, fan_in_fan_out, patterns that
// are regular expressions, initialisations that change the base); each names field or tensor.
Result<std::vector<AdapterWeight>> ParseAdapter(const Checkpoint& adapter);

}  // namespace signum
