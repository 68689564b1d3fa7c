// A shard index beside two good shards: accepted only where it says of every tensor where it lies.

#include "storage/format/checkpoint.h"
#include "storage/format/checkpoint_index.h"
#include "tests/fuzz/fuzz_input.h"

namespace signum {
namespace {

std::shared_ptr<const ByteSource> OneTensor(const char* name) {
  std::vector<SafetensorsEntry> entries{{{name, Dtype::kU8, {1}}, 0, 0}};
  return FuzzSource(BuildSafetensorsHeader(entries, {}, 8) + "x");
}

}  // namespace
}  // namespace signum

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace signum;
  static const auto a = OneTensor("a");
  static const auto b = OneTensor("b");
  static const auto config = FuzzSource("{}");
  const std::string_view text = FuzzText(data, size);
  const auto checkpoint = Checkpoint::Parse({{"1.safetensors", a},
                                             {"2.safetensors", b},
                                             {"config.json", config},
                                             {"model.safetensors.index.json", FuzzSource(text)}});
  if (!checkpoint) return 0;
  const auto index = ParseCheckpointIndex(text, "fuzz");
  Require(index && index->shard_of.size() == 2);
  Require(index->shard_of.at("a") == "1.safetensors" && index->shard_of.at("b") == "2.safetensors");
  return 0;
}
