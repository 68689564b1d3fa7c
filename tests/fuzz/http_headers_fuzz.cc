#include <cstdint>
#include <cstdlib>

#include "server/http/conditional.h"

// The first byte picks the size of the resource, the rest is the header. A range must lie inside
// the resource; a list of tags must not match what it does not name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace signum::http;  // NOLINT(google-build-using-namespace)
  if (size == 0) return 0;
  const std::string_view header(reinterpret_cast<const char*>(data + 1), size - 1);
  const uint64_t length = data[0] == 255 ? UINT64_MAX : data[0];
  const RangeChoice choice = ParseRange(header, length);
  if (const auto* range = std::get_if<ByteRange>(&choice)) {
    const bool inside =
        range->length > 0 && range->offset < length && range->length <= length - range->offset;
    if (!inside) std::abort();
  }
  const bool matches = ETagListMatches(header, "\"e\"", Comparison::kWeak);
  const bool named =
      header.find("\"e\"") != std::string_view::npos || header.find('*') != std::string_view::npos;
  if (matches && !named) std::abort();
  if (ETagListMatches(header, "\"e\"", Comparison::kStrong) && !matches) std::abort();
  return 0;
}
