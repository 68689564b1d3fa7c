#pragma once

#include <vector>

#include "storage/format/delta_file.h"

namespace signum::client {

// What a delta file holds and where, without its bytes.
struct DeltaOutline {
  DeltaHeader header;
  std::vector<SafetensorsEntry> parts;
  uint64_t data_begin = 0;
};

inline DeltaOutline OutlineOf(const DeltaReader& delta) {
  return {delta.header(), delta.parts(), delta.data_begin()};
}

}  // namespace signum::client
