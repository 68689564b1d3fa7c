#include "gpu/row_pairs.h"

#include <algorithm>
#include <thread>

#include "gpu/fetch.h"
#include "gpu/kernels/lanes.h"

namespace signum {
namespace {

constexpr uint64_t kBlockElements = uint64_t{1} << 18;
constexpr uint64_t kBufferBytes = uint64_t{256} << 20;  // of all threads together

Result<kernels::ConstRow> ReadRows(const RowPairs::Side& side, uint64_t first, uint64_t elements,
                                   std::vector<std::byte>& buffer) {
  const size_t size = kernels::ElementBytes(side.type);
  SIGNUM_ASSIGN(const std::byte* data, Fetch(*side.bytes, first * size, elements * size, buffer));
  return kernels::ConstRow{side.type, data};
}

}  // namespace

RowPairs::RowPairs(Side base, Side fine, uint64_t rows, size_t columns)
    : base_(std::move(base)), fine_(std::move(fine)), rows_(rows), columns_(columns) {
  const uint64_t group = kernels::kGroupRows * std::max<uint64_t>(columns, 1);
  block_rows_ = kernels::kGroupRows * std::max<uint64_t>(kBlockElements / group, 1);
}

size_t RowPairs::Threads(int wanted) const {
  const uint64_t cores = std::max(std::thread::hardware_concurrency(), 1U);
  const uint64_t asked = wanted > 0 ? static_cast<uint64_t>(wanted) : cores;
  // Both sides, and a little for bits and column sums.
  const uint64_t a_thread =
      block_rows_ * columns_ *
      (kernels::ElementBytes(base_.type) + kernels::ElementBytes(fine_.type) + 1);
  const uint64_t fitting = std::max<uint64_t>(kBufferBytes / std::max<uint64_t>(a_thread, 1), 1);
  return std::max<uint64_t>(std::min({asked, fitting, blocks()}), 1);
}

Result<RowBlock> RowPairs::Read(uint64_t block, Buffers& buffers) const {
  RowBlock out;
  out.first = block * block_rows_;
  out.rows = std::min(block_rows_, rows_ - out.first);
  out.columns = columns_;
  const uint64_t elements = out.rows * columns_;
  SIGNUM_ASSIGN(out.base, ReadRows(base_, out.first * columns_, elements, buffers.base));
  SIGNUM_ASSIGN(out.fine, ReadRows(fine_, out.first * columns_, elements, buffers.fine));
  return out;
}

}  // namespace signum
