// JSON from outside: the canonical form of what parses is a fixed point.

#include <nlohmann/json.hpp>

#include "storage/format/canonical_json.h"
#include "tests/fuzz/fuzz_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace signum;
  const auto value = ParseJson(FuzzText(data, size));
  if (!value) return 0;
  const std::string canonical = CanonicalJson(*value);
  const auto again = ParseJson(canonical);
  Require(again && CanonicalJson(*again) == canonical);
  return 0;
}
