#include "gpu/fetch.h"
#include "gpu/kernels/bits.h"
#include "gpu/rebuilt_matrix.h"
#include "gpu/tensor_class.h"

namespace signum {
namespace {

constexpr uint64_t kIndexBytes = 4096;  // of mask between two entries of the index

const uint8_t* AsBits(const std::byte* bytes) { return reinterpret_cast<const uint8_t*>(bytes); }

class SparseMatrix final : public RebuiltMatrix {
 public:
  SparseMatrix(const TensorInfo& info, BaseMatrix base, std::shared_ptr<const ByteSource> mask,
               std::vector<PlaneSource> planes)
      : RebuiltMatrix(info, *ElementOf(info.dtype)),
        base_(std::move(base)),
        info_(info),
        mask_(std::move(mask)),
        planes_(std::move(planes)) {}

 protected:
  Result<void> Rebuild(const Run& run, std::byte* out) const override {
    SIGNUM_ASSIGN(const Loaded* loaded, loaded_.Get([&] { return Load(); }));
    std::vector<std::byte> base_buffer;
    std::vector<std::byte> mask_buffer;
    const uint64_t width = kernels::ElementBytes(base_.type);
    const uint64_t first_byte = BitsBegin(run.row, run.column);
    const uint64_t mask_bytes = BitsEnd(run) - first_byte;
    SIGNUM_ASSIGN(
        const std::byte* base,
        Fetch(*base_.bytes, (run.row * columns_ + run.column) * width, run.n * width, base_buffer));
    SIGNUM_ASSIGN(const std::byte* bits, Fetch(*mask_, first_byte, mask_bytes, mask_buffer));
    const uint8_t* mask = AsBits(bits);
    SIGNUM_ASSIGN(const uint64_t rank, Rank(*loaded, first_byte));
    std::vector<std::vector<uint8_t>> sign;
    for (const PlaneSource& plane : planes_) {
      SIGNUM_ASSIGN(std::vector<uint8_t> spread, Scatter(*plane.sign, rank, mask, mask_bytes));
      sign.push_back(std::move(spread));
    }
    RowPlanes row_bits{std::vector<const uint8_t*>(sign.size()), nullptr};
    const auto visit = [&](uint64_t row, uint64_t column, uint64_t count,
                           uint64_t done) -> Result<void> {
      const uint64_t at = BitsBegin(row, column) - first_byte;
      for (size_t plane = 0; plane < sign.size(); ++plane) {
        row_bits.sign[plane] = sign[plane].data() + at;
      }
      row_bits.mask = mask + at;
      ReconstructPlanes(kernels::ConstRow{base_.type, base}.From(done), row_bits, loaded->scales,
                        row, column, count, kernels::MutableRow{type_, out}.From(done));
      return {};
    };
    return ForRows(run, visit);
  }

 private:
  struct Loaded {
    std::vector<Scales::Values> scales;  // a plane
    std::vector<uint64_t> index;         // ones in the mask before each kIndexBytes of it
  };

  Result<Loaded> Load() const {
    Loaded loaded;
    SIGNUM_ASSIGN(loaded.scales, ReadScales(planes_));
    std::vector<std::byte> buffer;
    uint64_t ones = 0;
    for (uint64_t at = 0; at < mask_->size(); at += kIndexBytes) {
      loaded.index.push_back(ones);
      const uint64_t size = std::min(kIndexBytes, mask_->size() - at);
      SIGNUM_ASSIGN(const std::byte* bytes, Fetch(*mask_, at, size, buffer));
      ones += kernels::CountBits(AsBits(bytes), size * 8);
    }
    for (const PlaneSource& plane : planes_) {
      SIGNUM_TRY(CheckPart(kernels::BitBytes(ones) == plane.sign->size(), info_,
                           "the number of signs beside its mask's"));
    }
    return loaded;
  }

  // Ones in the mask before its byte `at`.
  Result<uint64_t> Rank(const Loaded& loaded, uint64_t at) const {
    const uint64_t entry = at / kIndexBytes;
    std::vector<std::byte> buffer;
    const uint64_t size = at - entry * kIndexBytes;
    SIGNUM_ASSIGN(const std::byte* bytes, Fetch(*mask_, entry * kIndexBytes, size, buffer));
    return loaded.index[entry] + kernels::CountBits(AsBits(bytes), size * 8);
  }

  // The signs from the rank-th on, spread to where the mask has ones. They are all there: Load()
  // has counted the ones of the whole mask.
  static Result<std::vector<uint8_t>> Scatter(const ByteSource& signs, uint64_t rank,
                                              const uint8_t* mask, uint64_t mask_bytes) {
    const uint64_t ones = kernels::CountBits(mask, mask_bytes * 8);
    std::vector<std::byte> buffer;
    const uint64_t begin = rank / 8;
    const uint64_t end = kernels::BitBytes(rank + ones);
    SIGNUM_ASSIGN(const std::byte* packed, Fetch(signs, begin, end - begin, buffer));
    std::vector<uint8_t> sign(mask_bytes);
    kernels::ScatterBits(AsBits(packed), rank % 8, mask, mask_bytes * 8, sign.data());
    return sign;
  }

  BaseMatrix base_;
  TensorInfo info_;
  std::shared_ptr<const ByteSource> mask_;
  std::vector<PlaneSource> planes_;
  Lazy<Loaded> loaded_;
};

}  // namespace

std::shared_ptr<const ByteSource> MakeSparse(const TensorInfo& info, BaseMatrix base,
                                             std::shared_ptr<const ByteSource> mask,
                                             std::vector<PlaneSource> planes) {
  return std::make_shared<SparseMatrix>(info, std::move(base), std::move(mask), std::move(planes));
}

Result<std::shared_ptr<const ByteSource>> OpenSparse(const DeltaReader& delta,
                                                     const TensorInfo& info, BaseMatrix base) {
  const SafetensorsEntry* mask = delta.FindPart(MaskName(info.name));
  const std::vector<uint64_t> shape{info.shape[0], kernels::BitBytes(info.shape[1])};
  SIGNUM_TRY(CheckPart(mask != nullptr && mask->info.shape == shape, info, "its mask"));
  SIGNUM_TRY(CheckPart(base.rows == info.shape[0], info, "the base's tensor"));
  SIGNUM_ASSIGN(auto planes, OpenPlanes(delta, info));
  return MakeSparse(info, std::move(base), delta.OpenPart(*mask), std::move(planes));
}

}  // namespace signum
