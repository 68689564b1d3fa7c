#include "gpu/kernels/convert.h"
#include "gpu/lowrank.h"
#include "gpu/tensor_class.h"
#include "storage/format/safetensors.h"

namespace signum {
namespace {

Result<void> AddFactor(PartWriter& parts, TensorInfo info, const std::vector<float>& values) {
  const Dtype dtype = info.dtype;
  std::vector<std::byte> bytes(info.bytes());
  kernels::FromFloat(values.data(), values.size(), {*ElementOf(dtype), bytes.data()});
  SIGNUM_TRY(parts.Begin(std::move(info.name), dtype, std::move(info.shape)));
  return parts.Append(ConstBytes(bytes));
}

Dtype DtypeOf(kernels::Element type) {
  for (Dtype dtype : {Dtype::kF16, Dtype::kBF16, Dtype::kF32}) {
    if (*ElementOf(dtype) == type) return dtype;
  }
  return Dtype::kF64;
}

Result<void> CopyFactor(const EncodeContext& context, PartWriter& parts, TensorInfo info,
                        const ByteSource& values) {
  if (!context.options.allow_not_finite) SIGNUM_TRY(CheckFinite(info, values, "the adapter"));
  SIGNUM_TRY(parts.Begin(std::move(info.name), info.dtype, std::move(info.shape)));
  return parts.Copy(values, 0, context.progress);
}

}  // namespace

Result<Encoded> EncodeFactors(const EncodeContext& context, const TensorInfo& info,
                              const LowrankSource& factors) {
  PartWriter parts(context.writer);
  SIGNUM_TRY(CopyFactor(
      context, parts,
      {LoraAName(info.name), DtypeOf(factors.a_type), {factors.rank, info.shape[1]}}, *factors.a));
  SIGNUM_TRY(CopyFactor(
      context, parts,
      {LoraBName(info.name), DtypeOf(factors.b_type), {info.shape[0], factors.rank}}, *factors.b));
  if (factors.scale != nullptr) {
    SIGNUM_TRY(parts.Begin(ScaleName(info.name), Dtype::kF32, {1}));
    SIGNUM_TRY(parts.Copy(*factors.scale, 0, context.progress));
  }
  return Encoded{Codec::kLowrank, parts.bytes()};
}

Result<Encoded> EncodeLowrank(const EncodeContext& context, const TensorInfo& info,
                              const LowrankFactors& factors) {
  PartWriter parts(context.writer);
  SIGNUM_TRY(AddFactor(parts, {LoraAName(info.name), factors.dtype, {factors.rank, info.shape[1]}},
                       factors.a));
  SIGNUM_TRY(AddFactor(parts, {LoraBName(info.name), factors.dtype, {info.shape[0], factors.rank}},
                       factors.b));
  if (factors.scale != 1) {
    SIGNUM_TRY(parts.Add(ScaleName(info.name), Dtype::kF32, std::vector<float>{factors.scale}));
  }
  return Encoded{Codec::kLowrank, parts.bytes()};
}

}  // namespace signum
