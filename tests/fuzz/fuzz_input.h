#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <string_view>

#include "storage/base/byte_source.h"

namespace signum {

// libFuzzer's bytes as text.
inline std::string_view FuzzText(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

inline std::shared_ptr<const ByteSource> FuzzSource(std::string_view text) {
  return std::make_shared<MemorySource>(std::string(text));
}

// A property that must hold for every input.
inline void Require(bool holds) {
  if (!holds) std::abort();
}

}  // namespace signum
