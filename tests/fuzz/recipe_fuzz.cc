// A recipe: what is accepted is exactly what it serializes to.

#include "storage/format/recipe.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace signum;
  const std::string_view text = FuzzText(data, size);
  const auto recipe = Recipe::Parse(text);
  if (recipe) Require(recipe->Serialize() == text);
  return 0;
}
