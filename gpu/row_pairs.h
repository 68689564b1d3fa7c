#pragma once

#include <memory>
#include <vector>

#include "gpu/kernels/element.h"
#include "storage/base/byte_source.h"

namespace signum {

// Rows [first, first + rows) of a base tensor and of the fine-tune's.
struct RowBlock {
  uint64_t first = 0;
  uint64_t rows = 0;
  size_t columns = 0;
  kernels::ConstRow base, fine;  // the first row's elements; rows follow one another

  kernels::ConstRow Base(uint64_t row) const { return base.From(row * columns); }
  kernels::ConstRow Fine(uint64_t row) const { return fine.From(row * columns); }
  uint64_t FineBytes() const { return rows * columns * kernels::ElementBytes(fine.type); }
};

// The rows two matrices have in common, read block by block: in place where a source is mapped,
// else into the caller's buffers. Where blocks begin depends on the number of columns alone, and
// always on a multiple of kernels::kGroupRows.
class RowPairs {
 public:
  struct Side {
    std::shared_ptr<const ByteSource> bytes;
    kernels::Element type;
  };
  struct Buffers {
    std::vector<std::byte> base, fine;
  };

  RowPairs(Side base, Side fine, uint64_t rows, size_t columns);
  // The same rows with another base.
  RowPairs WithBase(Side base) const { return {std::move(base), fine_, rows_, columns_}; }

  uint64_t rows() const { return rows_; }
  size_t columns() const { return columns_; }
  uint64_t block_rows() const { return block_rows_; }
  uint64_t blocks() const { return (rows_ + block_rows_ - 1) / block_rows_; }
  kernels::Element fine_type() const { return fine_.type; }
  const Side& base() const { return base_; }
  const Side& fine() const { return fine_; }
  kernels::Element base_type() const { return base_.type; }

  // How many threads to go through the blocks with when `wanted` (0: one per core) are asked for:
  // no more than there are blocks, nor than their buffers may take memory.
  size_t Threads(int wanted) const;

  // The block stays valid as long as the buffers are left alone. Thread-safe.
  Result<RowBlock> Read(uint64_t block, Buffers& buffers) const;

 private:
  Side base_, fine_;
  uint64_t rows_;
  size_t columns_;
  uint64_t block_rows_;
};

}  // namespace signum
