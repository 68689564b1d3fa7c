#pragma once

#include <array>

#include "storage/base/bytes.h"
#include "storage/format/byte_planes.h"

namespace signum {

// How a plane is handed to zstd. A decoder need not know.
enum class PlaneCoding : uint8_t {
  kRaw,       // noise: an entropy coder would cost time and save next to nothing
  kLiterals,  // an entropy coder alone: there are no repetitions, and looking for them costs time
  kMatches,   // repetitions and an entropy coder
};

struct PlaneChoice {
  size_t shift = 0;
  std::array<PlaneCoding, kMostPlanes> coding{};
};

// How to encode a block's numbers (not bytes of a file), guessed from a sample of them. `base` has
// as many.
PlaneChoice ChoosePlanes(const NumberLayout& layout, const std::byte* fine, const std::byte* base,
                         size_t count);

}  // namespace signum
