#include <algorithm>
#include <array>

#include "storage/format/delta_file.h"

namespace signum {

namespace {

// Indexed by Codec and ScaleKind.
constexpr std::array<std::string_view, 6> kCodecs{"same", "sign1", "sign1-sparse",
                                                  "rows", "raw",   "lowrank"};
constexpr std::array<std::string_view, 3> kScaleKinds{"tensor", "row", "row+col"};

template <class T, size_t N>
std::optional<T> Lookup(const std::array<std::string_view, N>& names, std::string_view name) {
  const auto* at = std::find(names.begin(), names.end(), name);
  if (at == names.end()) return std::nullopt;
  return static_cast<T>(at - names.begin());
}

std::string Join(std::string_view x, std::string_view suffix) {
  std::string out(x);
  return out.append(suffix);
}

// Further planes' parts have their number at the end.
std::string JoinPlane(std::string_view x, std::string_view suffix, int plane) {
  std::string out = Join(x, suffix);
  return plane == 0 ? out : out.append(".").append(std::to_string(plane));
}

}  // namespace

std::string_view CodecName(Codec codec) { return kCodecs[static_cast<size_t>(codec)]; }
std::optional<Codec> CodecFromName(std::string_view name) { return Lookup<Codec>(kCodecs, name); }

std::string_view ScaleKindName(ScaleKind kind) { return kScaleKinds[static_cast<size_t>(kind)]; }
std::optional<ScaleKind> ScaleKindFromName(std::string_view name) {
  return Lookup<ScaleKind>(kScaleKinds, name);
}

std::string SignName(std::string_view x, int plane) { return JoinPlane(x, ".sign", plane); }
std::string RowScaleName(std::string_view x, int plane) {
  return JoinPlane(x, ".scale.row", plane);
}
std::string ColScaleName(std::string_view x, int plane) {
  return JoinPlane(x, ".scale.col", plane);
}
std::string ScaleName(std::string_view x, int plane) { return JoinPlane(x, ".scale", plane); }
std::string RowsName(std::string_view x) { return Join(x, ".rows"); }
std::string ValuesName(std::string_view x) { return Join(x, ".values"); }
std::string MaskName(std::string_view x) { return Join(x, ".mask"); }
std::string LoraAName(std::string_view x) { return Join(x, ".lora_a"); }
std::string LoraBName(std::string_view x) { return Join(x, ".lora_b"); }
std::string BlobName(const Digest& digest) {
  return std::string(kReservedPrefix) + "blob." + digest.Hex();
}

}  // namespace signum
