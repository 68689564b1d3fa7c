#include "storage/format/weight_planes.h"

namespace signum {

namespace {

bool HasSigns(const DeltaReader& delta, std::string_view x) {
  const auto at = delta.header().codecs.find(std::string(x));
  return at != delta.header().codecs.end() &&
         (at->second == Codec::kSign1 || at->second == Codec::kSign1Sparse ||
          at->second == Codec::kRows);
}

// A tensor that is a raw weight of its own is no part of another, whatever its name.
const SafetensorsEntry* FindPart(const DeltaReader& delta, const std::string& name) {
  const auto at = delta.header().codecs.find(name);
  const bool own = at != delta.header().codecs.end() && at->second == Codec::kRaw;
  return own ? nullptr : delta.FindPart(name);
}

}  // namespace

WeightPlanes FindPlanes(const DeltaReader& delta, std::string_view x) {
  WeightPlanes out;
  if (!HasSigns(delta, x)) return out;
  out.mask = FindPart(delta, MaskName(x));
  out.rows = FindPart(delta, RowsName(x));
  for (int plane = 0; plane < kMaxPlanes; ++plane) {
    const SafetensorsEntry* sign = FindPart(delta, SignName(x, plane));
    if (sign == nullptr) break;
    out.planes.push_back({sign, FindPart(delta, ScaleName(x, plane)),
                          FindPart(delta, RowScaleName(x, plane)),
                          FindPart(delta, ColScaleName(x, plane))});
  }
  return out;
}

}  // namespace signum
