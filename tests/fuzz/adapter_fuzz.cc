// An adapter from outside: adapter_config.json, a zero byte, and the safetensors file. Whatever is
// accepted names pairs of factors that fit each other.

#include "storage/format/adapter.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace signum;
  const std::string_view text = FuzzText(data, size);
  const size_t zero = text.find('\0');
  if (zero == std::string_view::npos) return 0;
  const auto adapter =
      Checkpoint::ParseFineTune({{"adapter_config.json", FuzzSource(text.substr(0, zero))},
                                 {"adapter_model.safetensors", FuzzSource(text.substr(zero + 1))}});
  if (!adapter) return 0;
  const auto weights = ParseAdapter(**adapter);
  if (!weights) return 0;
  for (const AdapterWeight& weight : *weights) {
    const TensorInfo& a = (*adapter)->tensors()[weight.a];
    const TensorInfo& b = (*adapter)->tensors()[weight.b];
    Require(a.shape.size() == 2 && b.shape.size() == 2 && a.shape[0] == b.shape[1]);
    Require(weight.scale > 0 && !weight.weight.empty());
  }
  return 0;
}
