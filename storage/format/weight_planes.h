#pragma once

#include <string_view>
#include <vector>

#include "storage/format/delta_file.h"

namespace signum {

// Where one weight's signs and scales lie in a delta, plane by plane. Plane p holds the signs of
// what planes 0 … p - 1 leave; a weight is rebuilt by adding them in order (FORMAT.md, "Planes").
struct SignPlane {
  const SafetensorsEntry* sign = nullptr;
  // Either `scale`, or `row_scale` with or without `col_scale`; nullptr where absent. The kinds and
  // shapes are the same in every plane.
  const SafetensorsEntry* scale = nullptr;
  const SafetensorsEntry* row_scale = nullptr;
  const SafetensorsEntry* col_scale = nullptr;
};

struct WeightPlanes {
  const SafetensorsEntry* mask = nullptr;  // sign1-sparse: of all planes
  const SafetensorsEntry* rows = nullptr;  // rows: planes hold the first of the rows listed
  std::vector<SignPlane> planes;           // empty for codecs (and rows) without signs
};

// Of weight `x` of a delta that Open has checked. Entries belong to `delta`.
WeightPlanes FindPlanes(const DeltaReader& delta, std::string_view x);

}  // namespace signum
