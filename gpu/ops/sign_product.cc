#include "gpu/ops/sign_product.h"

#include <algorithm>
#include <vector>

#include "gpu/ops/matmul.h"

namespace signum::ops {
namespace {

constexpr int64_t kBlockWeights = 1 << 18;  // 1 MiB of float32: stays in the second-level cache

// Rows [first, first + count) of the plane as weights of their own, over a base of zeros.
MaterializeArgs Block(const SignProductArgs& args, int64_t first, int64_t count, const float* zeros,
                      float* out) {
  MaterializeArgs block;
  const auto row_bytes = static_cast<int64_t>(kernels::BitBytes(static_cast<size_t>(args.columns)));
  SignPlane& plane = block.planes[0];
  plane = args.plane;
  plane.sign += first * row_bytes;
  if (plane.mask != nullptr) plane.mask += first * row_bytes;
  if (!plane.one_row_scale) plane.row += first;
  block.base = zeros;
  block.plane_count = 1;
  block.out = out;
  block.rows = count;
  block.columns = args.columns;
  return block;
}

}  // namespace

// A block of rows of D at a time, through MatMul.
void SignProduct(const SignProductArgs& args) {
  const int64_t n = args.columns;
  const int64_t most = std::max<int64_t>(1, kBlockWeights / std::max<int64_t>(1, n));
  const std::vector<float> zeros(static_cast<size_t>(most * n));
  std::vector<float> d(zeros.size());
  bool accumulate = args.accumulate;
  for (int64_t first = 0; first < args.rows; first += most) {
    const int64_t count = std::min(most, args.rows - first);
    Materialize(Block(args, first, count, zeros.data(), d.data()));
    if (args.input_grad) {
      MatMul({args.x + first, d.data(), args.y, args.m, n, count, args.rows, n, n, false, false,
              accumulate});
      accumulate = true;
    } else {
      MatMul({args.x, d.data(), args.y + first, args.m, count, n, n, n, args.rows, false, true,
              args.accumulate});
    }
  }
  if (args.input_grad && !accumulate) std::fill(args.y, args.y + args.m * n, 0.0F);
}

}  // namespace signum::ops
