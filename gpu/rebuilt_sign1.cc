#include "gpu/fetch.h"
#include "gpu/kernels/reconstruct.h"
#include "gpu/rebuilt_matrix.h"
#include "gpu/tensor_class.h"

namespace signum {
namespace {

class Sign1Matrix final : public RebuiltMatrix {
 public:
  Sign1Matrix(const TensorInfo& info, BaseMatrix base, Scales scales,
              std::shared_ptr<const ByteSource> sign)
      : RebuiltMatrix(info, *ElementOf(info.dtype)),
        base_(std::move(base)),
        scales_(std::move(scales)),
        sign_(std::move(sign)) {}

 protected:
  Result<void> Rebuild(const Run& run, std::byte* out) const override {
    SIGNUM_ASSIGN(const Scales::Values* scales, values_.Get([&] { return scales_.Read(); }));
    std::vector<std::byte> base_buffer;
    std::vector<std::byte> sign_buffer;
    const uint64_t width = kernels::ElementBytes(base_.type);
    const uint64_t first_bit = BitsBegin(run.row, run.column);
    SIGNUM_ASSIGN(
        const std::byte* base,
        Fetch(*base_.bytes, (run.row * columns_ + run.column) * width, run.n * width, base_buffer));
    SIGNUM_ASSIGN(const std::byte* bits,
                  Fetch(*sign_, first_bit, BitsEnd(run) - first_bit, sign_buffer));
    const auto* sign = reinterpret_cast<const uint8_t*>(bits);
    const auto visit = [&](uint64_t row, uint64_t column, uint64_t count,
                           uint64_t done) -> Result<void> {
      const kernels::SignScales how{sign + (BitsBegin(row, column) - first_bit), nullptr,
                                    scales->Row(row), scales->Col(column)};
      kernels::ReconstructRow(kernels::ConstRow{base_.type, base}.From(done), how, count,
                              kernels::MutableRow{type_, out}.From(done));
      return {};
    };
    return ForRows(run, visit);
  }

 private:
  BaseMatrix base_;
  Scales scales_;
  std::shared_ptr<const ByteSource> sign_;
  Lazy<Scales::Values> values_;
};

}  // namespace

Result<std::shared_ptr<const ByteSource>> OpenSign1(const DeltaReader& delta,
                                                    const TensorInfo& info, BaseMatrix base) {
  const SafetensorsEntry* sign = delta.FindPart(SignName(info.name));
  const std::vector<uint64_t> shape{info.shape[0], kernels::BitBytes(info.shape[1])};
  SIGNUM_TRY(CheckPart(sign != nullptr && sign->info.shape == shape, info, "its sign"));
  SIGNUM_TRY(CheckPart(base.rows == info.shape[0], info, "the base's tensor"));
  SIGNUM_ASSIGN(Scales scales, Scales::Open(delta, info));
  return std::make_shared<Sign1Matrix>(info, std::move(base), std::move(scales),
                                       delta.OpenPart(*sign));
}

}  // namespace signum
