#include "gpu/codec_parts.h"

#include "gpu/kernels/element.h"

namespace signum {
namespace {

using kernels::BitBytes;

void AddScales(const TensorInfo& weight, ScaleKind kind, int plane,
               std::vector<TensorInfo>& parts) {
  const std::string& x = weight.name;
  if (kind == ScaleKind::kTensor) return parts.push_back({ScaleName(x, plane), Dtype::kF32, {1}});
  parts.push_back({RowScaleName(x, plane), Dtype::kF32, {weight.shape[0]}});
  if (kind == ScaleKind::kRow) return;
  parts.push_back({ColScaleName(x, plane), Dtype::kF32, {weight.shape[1]}});
}

}  // namespace

std::vector<TensorInfo> Sign1Parts(const TensorInfo& weight, const CompressOptions& options) {
  std::vector<TensorInfo> parts;
  for (int plane = 0; plane < options.planes; ++plane) {
    parts.push_back(
        {SignName(weight.name, plane), Dtype::kU8, {weight.shape[0], BitBytes(weight.shape[1])}});
    AddScales(weight, options.scales, plane, parts);
  }
  return parts;
}

std::vector<TensorInfo> SparseParts(const TensorInfo& weight, uint64_t changed,
                                    const CompressOptions& options) {
  std::vector<TensorInfo> parts{
      {MaskName(weight.name), Dtype::kU8, {weight.shape[0], BitBytes(weight.shape[1])}}};
  for (int plane = 0; plane < options.planes; ++plane) {
    parts.push_back({SignName(weight.name, plane), Dtype::kU8, {BitBytes(changed)}});
    AddScales(weight, options.scales, plane, parts);
  }
  return parts;
}

std::vector<TensorInfo> RowsParts(const TensorInfo& weight, uint64_t changed, uint64_t grown,
                                  const CompressOptions& options) {
  const std::string& x = weight.name;
  std::vector<TensorInfo> parts{{RowsName(x), Dtype::kI32, {changed + grown}}};
  const uint64_t with_sign = options.exact_embeddings ? 0 : changed;
  for (int plane = 0; plane < options.planes && with_sign > 0; ++plane) {
    parts.push_back({SignName(x, plane), Dtype::kU8, {with_sign, BitBytes(weight.shape[1])}});
    parts.push_back({RowScaleName(x, plane), Dtype::kF32, {with_sign}});
  }
  const uint64_t values = changed + grown - with_sign;
  if (values > 0) parts.push_back({ValuesName(x), weight.dtype, {values, weight.shape[1]}});
  return parts;
}

std::vector<TensorInfo> LowrankParts(const TensorInfo& weight, uint64_t rank, Dtype dtype,
                                     bool scaled) {
  std::vector<TensorInfo> parts{{LoraAName(weight.name), dtype, {rank, weight.shape[1]}},
                                {LoraBName(weight.name), dtype, {weight.shape[0], rank}}};
  if (scaled) parts.push_back({ScaleName(weight.name), Dtype::kF32, {1}});
  return parts;
}

uint64_t BytesOf(const std::vector<TensorInfo>& parts) {
  uint64_t bytes = 0;
  for (const TensorInfo& part : parts) bytes += part.bytes();
  return bytes;
}

}  // namespace signum
