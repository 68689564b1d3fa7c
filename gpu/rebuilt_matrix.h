#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "gpu/kernels/element.h"
#include "storage/format/delta_file.h"
#include "storage/format/weight_planes.h"

namespace signum {

// Rebuilt tensors of the codecs that compute: sign1, sign1-sparse, rows and lowrank. Each is a
// ByteSource that computes what is read; thread-safe; holds the scales (and, sparse, an index of
// the mask) in memory once it has been read from.

// The base's tensor that a weight differs from.
struct BaseMatrix {
  std::shared_ptr<const ByteSource> bytes;
  kernels::Element type;
  uint64_t rows;
};

// Common to them: turns a byte range into runs of elements that begin on a multiple of 8 columns.
class RebuiltMatrix : public ByteSource {
 public:
  uint64_t size() const override { return rows_ * columns_ * kernels::ElementBytes(type_); }
  Result<void> Read(uint64_t offset, MutableBytes out) const override;

 protected:
  // `n` elements, row-major, from (row, column) on; column is a multiple of 8.
  struct Run {
    uint64_t row;
    uint64_t column;
    uint64_t n;
  };

  RebuiltMatrix(const TensorInfo& info, kernels::Element type)
      : rows_(info.shape[0]), columns_(info.shape[1]), type_(type) {}

  // Writes the elements of a run to `out`.
  virtual Result<void> Rebuild(const Run& run, std::byte* out) const = 0;

  // Calls with the part of a run in each row: (row, column, count, elements before it in the run).
  using RowVisitor = std::function<Result<void>(uint64_t, uint64_t, uint64_t, uint64_t)>;
  Result<void> ForRows(const Run& run, const RowVisitor& visit) const;

  // Bytes of bits from the run's first to its last, in a part with ceil(columns / 8) bytes a row.
  uint64_t BitsBegin(uint64_t row, uint64_t column) const { return row * RowBytes() + column / 8; }
  uint64_t BitsEnd(const Run& run) const;
  uint64_t RowBytes() const { return kernels::BitBytes(columns_); }

  const uint64_t rows_;
  const uint64_t columns_;
  const kernels::Element type_;
};

// Errc::kCorrupt bad_part unless `holds`; names weight and part.
Result<void> CheckPart(bool holds, const TensorInfo& info, std::string_view what);

// The whole of a part as values of T; the part must exist.
template <class T>
Result<std::vector<T>> ReadValues(const ByteSource& part) {
  std::vector<T> values(part.size() / sizeof(T));
  SIGNUM_TRY(part.Read(0, std::as_writable_bytes(std::span(values))));
  return values;
}

// A value made at first use; thread-safe. A failure is not kept: the next use tries again.
template <class T>
class Lazy {
 public:
  template <class Make>
  Result<const T*> Get(Make make) const {
    const std::lock_guard lock(mutex_);
    if (!value_) {
      SIGNUM_ASSIGN(T made, make());
      value_ = std::make_unique<const T>(std::move(made));
    }
    return value_.get();
  }

 private:
  mutable std::mutex mutex_;
  mutable std::unique_ptr<const T> value_;
};

// Scales of one plane: one of the tensor, or one a row with or without one a column.
class Scales {
 public:
  // col null: none. Their sizes must fit the weight.
  Scales(std::shared_ptr<const ByteSource> row, std::shared_ptr<const ByteSource> col)
      : row_(std::move(row)), col_(std::move(col)) {}
  static Result<Scales> Open(const DeltaReader& delta, const TensorInfo& info,
                             const SignPlane& plane);

  struct Values {
    std::vector<float> row;  // one, or one a row
    std::vector<float> col;  // none, or one a column

    float Row(uint64_t r) const { return row.size() == 1 ? row[0] : row[r]; }
    const float* Col(uint64_t c) const { return col.empty() ? nullptr : col.data() + c; }
  };
  Result<Values> Read() const;

 private:
  std::shared_ptr<const ByteSource> row_, col_;
};

// A plane of sign1 or sign1-sparse.
struct PlaneSource {
  std::shared_ptr<const ByteSource> sign;
  Scales scales;
};
Result<std::vector<PlaneSource>> OpenPlanes(const DeltaReader& delta, const TensorInfo& info);
Result<std::vector<Scales::Values>> ReadScales(const std::vector<PlaneSource>& planes);

// Rebuilds `count` weights of a row from column `column` on (a multiple of 8), plane by plane in
// float32, rounded to `to`'s type at the end. sign and mask begin with the bit of that column; mask
// null: every weight has a sign.
struct RowPlanes {
  std::vector<const uint8_t*> sign;  // a plane
  const uint8_t* mask = nullptr;
};
void ReconstructPlanes(kernels::ConstRow base, const RowPlanes& bits,
                       const std::vector<Scales::Values>& scales, uint64_t row, uint64_t column,
                       uint64_t count, kernels::MutableRow to);

// From sources that are known to fit: base and planes of info's shape, at least one plane.
std::shared_ptr<const ByteSource> MakeSign1(const TensorInfo& info, BaseMatrix base,
                                            std::vector<PlaneSource> planes);
std::shared_ptr<const ByteSource> MakeSparse(const TensorInfo& info, BaseMatrix base,
                                             std::shared_ptr<const ByteSource> mask,
                                             std::vector<PlaneSource> planes);

// lowrank: W = round(float32(W_base) + scale · Σ_r b_ir a_rj).
struct LowrankSource {
  uint64_t rank;
  kernels::Element a_type, b_type;
  std::shared_ptr<const ByteSource> a, b;   // [rank, K], [N, rank]
  std::shared_ptr<const ByteSource> scale;  // F32 [1]; null: 1
};
std::shared_ptr<const ByteSource> MakeLowrank(const TensorInfo& info, BaseMatrix base,
                                              LowrankSource source);

// Opens a weight X by its codec's parts. `info` is X's as the fine-tune's header has it; parts are
// as DeltaReader::Open has checked them, what it could not know is checked here. Errc::kCorrupt
// bad_part.
Result<std::shared_ptr<const ByteSource>> OpenSign1(const DeltaReader& delta,
                                                    const TensorInfo& info, BaseMatrix base);
Result<std::shared_ptr<const ByteSource>> OpenSparse(const DeltaReader& delta,
                                                     const TensorInfo& info, BaseMatrix base);
Result<std::shared_ptr<const ByteSource>> OpenLowrank(const DeltaReader& delta,
                                                      const TensorInfo& info, BaseMatrix base);
Result<std::shared_ptr<const ByteSource>> OpenRows(const DeltaReader& delta, const TensorInfo& info,
                                                   BaseMatrix base);

}  // namespace signum
