#include "gpu/fetch.h"
#include "gpu/rebuilt_matrix.h"
#include "gpu/tensor_class.h"

namespace signum {
namespace {

class Sign1Matrix final : public RebuiltMatrix {
 public:
  Sign1Matrix(const TensorInfo& info, BaseMatrix base, std::vector<PlaneSource> planes)
      : RebuiltMatrix(info, *ElementOf(info.dtype)),
        base_(std::move(base)),
        planes_(std::move(planes)) {}

 protected:
  Result<void> Rebuild(const Run& run, std::byte* out) const override {
    SIGNUM_ASSIGN(const auto* scales, scales_.Get([&] { return ReadScales(planes_); }));
    std::vector<std::byte> base_buffer;
    std::vector<std::vector<std::byte>> sign_buffers(planes_.size());
    std::vector<const uint8_t*> sign(planes_.size());
    const uint64_t width = kernels::ElementBytes(base_.type);
    const uint64_t first_bit = BitsBegin(run.row, run.column);
    SIGNUM_ASSIGN(
        const std::byte* base,
        Fetch(*base_.bytes, (run.row * columns_ + run.column) * width, run.n * width, base_buffer));
    for (size_t plane = 0; plane < planes_.size(); ++plane) {
      SIGNUM_ASSIGN(const std::byte* bits, Fetch(*planes_[plane].sign, first_bit,
                                                 BitsEnd(run) - first_bit, sign_buffers[plane]));
      sign[plane] = reinterpret_cast<const uint8_t*>(bits);
    }
    RowPlanes bits{sign, nullptr};
    const auto visit = [&](uint64_t row, uint64_t column, uint64_t count,
                           uint64_t done) -> Result<void> {
      for (size_t plane = 0; plane < sign.size(); ++plane) {
        bits.sign[plane] = sign[plane] + (BitsBegin(row, column) - first_bit);
      }
      ReconstructPlanes(kernels::ConstRow{base_.type, base}.From(done), bits, *scales, row, column,
                        count, kernels::MutableRow{type_, out}.From(done));
      return {};
    };
    return ForRows(run, visit);
  }

 private:
  BaseMatrix base_;
  std::vector<PlaneSource> planes_;
  Lazy<std::vector<Scales::Values>> scales_;
};

}  // namespace

std::shared_ptr<const ByteSource> MakeSign1(const TensorInfo& info, BaseMatrix base,
                                            std::vector<PlaneSource> planes) {
  return std::make_shared<Sign1Matrix>(info, std::move(base), std::move(planes));
}

Result<std::shared_ptr<const ByteSource>> OpenSign1(const DeltaReader& delta,
                                                    const TensorInfo& info, BaseMatrix base) {
  SIGNUM_TRY(CheckPart(base.rows == info.shape[0], info, "the base's tensor"));
  SIGNUM_ASSIGN(auto planes, OpenPlanes(delta, info));
  for (const PlaneSource& plane : planes) {
    SIGNUM_TRY(CheckPart(plane.sign->size() == info.shape[0] * kernels::BitBytes(info.shape[1]),
                         info, "its sign"));
  }
  return MakeSign1(info, std::move(base), std::move(planes));
}

}  // namespace signum
