// A delta file: whatever is accepted can be read part by part.

#include "storage/format/delta_file.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace signum;
  const auto reader = DeltaReader::Open(FuzzSource(FuzzText(data, size)), "fuzz");
  if (!reader) return 0;
  for (const SafetensorsEntry& part : (*reader)->parts()) {
    const auto bytes = ReadAll(*(*reader)->OpenPart(part), size);
    Require(bytes && bytes->size() == part.info.bytes());
  }
  for (const RecipeFile& file : (*reader)->recipe().files) {
    (void)(*reader)->OpenBlob(file.digest);
  }
  (void)(*reader)->CheckContents();
  return 0;
}
