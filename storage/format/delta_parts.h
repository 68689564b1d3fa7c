#pragma once

#include <array>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "storage/format/delta_file.h"

// Which tensors of a delta file hold which weight, and whether they fit together: shared by the
// writer and the reader, so that nothing is written that can't be read. FORMAT.md, "Parts", has the
// rules.

namespace signum {

enum class Part : uint8_t {
  kWhole,
  kSign,
  kMask,
  kRows,
  kValues,
  kScale,
  kRowScale,
  kColScale,
  kLoraA,
  kLoraB,
  kUnknownPlane  // a plane's part with a number that no plane has
};
inline constexpr size_t kPartKinds = 11;

struct PartName {
  Part part = Part::kWhole;
  std::string_view weight;  // the name without the part's suffix
  size_t plane = 0;         // 1 … kMaxPlanes - 1 for a further plane's sign or scale
};
// What `name` is by its suffix alone.
PartName SplitPartName(std::string_view name);

// The parts of one weight by plane and kind; nullptr where absent. Plane 0 is always there; what is
// no sign or scale is in it.
struct WeightParts {
  using Plane = std::array<const SafetensorsEntry*, kPartKinds>;
  std::vector<Plane> planes{Plane{}};

  const SafetensorsEntry* At(Part part, size_t plane) const {
    return plane < planes.size() ? planes[plane][static_cast<size_t>(part)] : nullptr;
  }
  const SafetensorsEntry* operator[](Part part) const { return At(part, 0); }
  void Set(const PartName& name, const SafetensorsEntry* entry);
};
using PartTable = std::map<std::string, WeightParts>;  // by weight

// Codecs that the file states because its tensors don't imply them.
using StatedCodecs = std::map<std::string, Codec>;
StatedCodecs NotImplied(const std::map<std::string, Codec>& codecs);

// Groups a file's tensors by weight; "signum.*" ones are checked and left out. Errc::kCorrupt
// bad_part. The table points into `entries`.
Result<PartTable> GroupParts(const std::vector<SafetensorsEntry>& entries,
                             const StatedCodecs& stated);

// The codec of every weight: stated, or implied by its parts, which are checked to be just those of
// the codec with fitting shapes and dtypes. Errc::kCorrupt bad_codec, missing_part, bad_part.
Result<std::map<std::string, Codec>> CheckParts(const PartTable& table, const StatedCodecs& stated);

}  // namespace signum
