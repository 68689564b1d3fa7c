#include <cstdint>
#include <cstdlib>

#include "server/http/url.h"

// Whatever a request target holds: no segment may be what a file system or a router could take for
// something else.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using signum::http::CleanUtf8;
  const auto target = signum::http::ParseTarget({reinterpret_cast<const char*>(data), size});
  if (!target) return 0;
  for (const auto& segment : target->segments) {
    const bool safe = segment != "." && segment != ".." && CleanUtf8(segment) &&
                      segment.find('/') == std::string::npos;
    if (!safe) std::abort();
  }
  for (const auto& [key, value] : target->query) {
    if (!CleanUtf8(key) || !CleanUtf8(value)) std::abort();
  }
  return 0;
}
