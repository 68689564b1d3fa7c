#include "gpu/distill/feedback_signs.h"

#include <algorithm>

#include "gpu/kernels/element.h"
#include "gpu/kernels/scalar.h"
#include "gpu/ops/matmul.h"

namespace signum {
namespace {

constexpr int64_t kBlock = 64;  // columns whose errors are fed back together

struct Rows {
  const FeedbackSigns& args;
  std::vector<float> left;    // Δ with the errors so far [rows, columns]
  std::vector<float> error;   // of a block [rows, kBlock], divided by U_jj, negative
  std::vector<float> chosen;  // b [rows, columns]
  size_t row_bytes;

  explicit Rows(const FeedbackSigns& a)
      : args(a),
        left(a.delta, a.delta + a.rows * a.columns),
        error(static_cast<size_t>(a.rows * kBlock)),
        chosen(static_cast<size_t>(a.rows * a.columns)),
        row_bytes(kernels::BitBytes(static_cast<size_t>(a.columns))) {}

  bool HasSign(int64_t row, int64_t column) const {
    return args.mask == nullptr ||
           kernels::TestBit(args.mask + static_cast<size_t>(row) * row_bytes,
                            static_cast<size_t>(column));
  }

  // Chooses one weight's sign; returns what it leaves.
  float Choose(int64_t row, int64_t column, float value) {
    if (!HasSign(row, column)) return value;
    const bool positive = value > 0;
    const auto at = static_cast<size_t>(column);
    uint8_t* bits = args.sign + static_cast<size_t>(row) * row_bytes;
    if (positive) bits[at / 8] = static_cast<uint8_t>(bits[at / 8] | (1U << (at % 8)));
    const float col = args.col_scale == nullptr ? 1.0F : args.col_scale[column];
    const float b = positive ? col : -col;
    chosen[static_cast<size_t>(row * args.columns + column)] = b;
    return value - args.row_scale[row] * b;
  }

  void Block(int64_t first, int64_t count) {
    for (int64_t r = 0; r < args.rows; ++r) {
      float* w = left.data() + r * args.columns;
      float* e = error.data() + r * kBlock;
      for (int64_t j = first; j < first + count; ++j) {
        const float* u = args.factor + j * args.columns;
        const float share = -Choose(r, j, w[j]) / u[j];
        e[j - first] = share;
        for (int64_t k = j + 1; k < first + count; ++k) w[k] += share * u[k];
      }
    }
    const int64_t rest = args.columns - first - count;
    ops::MatMul({error.data(), args.factor + first * args.columns + first + count,
                 left.data() + first + count, args.rows, rest, count, kBlock, args.columns,
                 args.columns, false, false, true});
  }

  // Products with H.
  void Fit() {
    std::vector<float> with(static_cast<size_t>(args.rows * args.columns));
    ops::MatMul({chosen.data(), args.moment, with.data(), args.rows, args.columns, args.columns,
                 args.columns, args.columns, args.columns, false, false, false});
    for (int64_t r = 0; r < args.rows; ++r) {
      const int64_t at = r * args.columns;
      double delta = 0;
      double self = 0;
      for (int64_t j = at; j < at + args.columns; ++j) {
        const auto product = double{with[static_cast<size_t>(j)]};
        delta += double{args.delta[j]} * product;
        self += double{chosen[static_cast<size_t>(j)]} * product;
      }
      args.with_delta[r] = delta;
      args.with_self[r] = self;
    }
  }
};

}  // namespace

void ChooseSigns(const FeedbackSigns& args) {
  Rows rows(args);
  std::fill(args.sign, args.sign + static_cast<size_t>(args.rows) * rows.row_bytes, uint8_t{0});
  for (int64_t first = 0; first < args.columns; first += kBlock) {
    rows.Block(first, std::min(kBlock, args.columns - first));
  }
  rows.Fit();
}

}  // namespace signum
