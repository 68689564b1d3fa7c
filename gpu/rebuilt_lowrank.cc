#include "gpu/fetch.h"
#include "gpu/kernels/convert.h"
#include "gpu/kernels/row_matrix.h"
#include "gpu/rebuilt_matrix.h"
#include "gpu/tensor_class.h"

namespace signum {
namespace {

class LowrankMatrix final : public RebuiltMatrix {
 public:
  LowrankMatrix(const TensorInfo& info, BaseMatrix base, LowrankSource source)
      : RebuiltMatrix(info, *ElementOf(info.dtype)),
        base_(std::move(base)),
        source_(std::move(source)) {}

 protected:
  Result<void> Rebuild(const Run& run, std::byte* out) const override {
    SIGNUM_ASSIGN(const Loaded* loaded, loaded_.Get([&] { return Load(); }));
    std::vector<std::byte> base_buffer;
    std::vector<std::byte> b_buffer;
    std::vector<float> b_row(source_.rank);
    const uint64_t width = kernels::ElementBytes(base_.type);
    const uint64_t b_bytes = source_.rank * kernels::ElementBytes(source_.b_type);
    SIGNUM_ASSIGN(
        const std::byte* base,
        Fetch(*base_.bytes, (run.row * columns_ + run.column) * width, run.n * width, base_buffer));
    std::vector<float> sum;
    std::vector<float> value;
    const auto visit = [&](uint64_t row, uint64_t column, uint64_t count,
                           uint64_t done) -> Result<void> {
      SIGNUM_ASSIGN(const std::byte* b, Fetch(*source_.b, row * b_bytes, b_bytes, b_buffer));
      kernels::ToFloat({source_.b_type, b}, source_.rank, b_row.data());
      sum.resize(count);
      value.resize(count);
      kernels::RowTimesMatrix(b_row.data(), loaded->a.data() + column, source_.rank, columns_,
                              count, sum.data());
      kernels::ToFloat(kernels::ConstRow{base_.type, base}.From(done), count, value.data());
      for (uint64_t j = 0; j < count; ++j) value[j] += loaded->scale * sum[j];
      kernels::FromFloat(value.data(), count, kernels::MutableRow{type_, out}.From(done));
      return {};
    };
    return ForRows(run, visit);
  }

 private:
  struct Loaded {
    std::vector<float> a;
    float scale = 1;
  };

  Result<Loaded> Load() const {
    Loaded loaded;
    std::vector<std::byte> buffer;
    loaded.a.resize(source_.rank * columns_);
    SIGNUM_ASSIGN(const std::byte* a, Fetch(*source_.a, 0, source_.a->size(), buffer));
    kernels::ToFloat({source_.a_type, a}, loaded.a.size(), loaded.a.data());
    if (source_.scale != nullptr) {
      SIGNUM_ASSIGN(const auto scale, ReadValues<float>(*source_.scale));
      loaded.scale = scale[0];
    }
    return loaded;
  }

  BaseMatrix base_;
  LowrankSource source_;
  Lazy<Loaded> loaded_;
};

}  // namespace

std::shared_ptr<const ByteSource> MakeLowrank(const TensorInfo& info, BaseMatrix base,
                                              LowrankSource source) {
  return std::make_shared<LowrankMatrix>(info, std::move(base), std::move(source));
}

Result<std::shared_ptr<const ByteSource>> OpenLowrank(const DeltaReader& delta,
                                                      const TensorInfo& info, BaseMatrix base) {
  const SafetensorsEntry* a = delta.FindPart(LoraAName(info.name));
  const SafetensorsEntry* b = delta.FindPart(LoraBName(info.name));
  const SafetensorsEntry* scale = delta.FindPart(ScaleName(info.name));
  SIGNUM_TRY(CheckPart(base.rows == info.shape[0], info, "the base's tensor"));
  SIGNUM_TRY(CheckPart(a != nullptr && a->info.shape.size() == 2 &&
                           a->info.shape[1] == info.shape[1] && ElementOf(a->info.dtype),
                       info, "its lora_a"));
  const uint64_t rank = a->info.shape[0];
  const std::vector<uint64_t> b_shape{info.shape[0], rank};
  SIGNUM_TRY(CheckPart(b != nullptr && b->info.shape == b_shape && ElementOf(b->info.dtype), info,
                       "its lora_b"));
  SIGNUM_TRY(
      CheckPart(scale == nullptr || scale->info.bytes() == sizeof(float), info, "its scale"));
  // More would be larger than the weight, and its memory is the reader's.
  SIGNUM_TRY(CheckPart(rank <= std::min(info.shape[0], info.shape[1]), info, "its rank"));
  return MakeLowrank(
      info, std::move(base),
      {rank, *ElementOf(a->info.dtype), *ElementOf(b->info.dtype), delta.OpenPart(*a),
       delta.OpenPart(*b), scale == nullptr ? nullptr : delta.OpenPart(*scale)});
}

}  // namespace signum
