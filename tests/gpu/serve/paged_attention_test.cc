#include "gpu/ops/paged_attention.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/gpu/codec_support.h"

namespace signum::ops {
namespace {

// Two sequences whose blocks lie in any order, heads in groups.
class PagedAttentionTest : public testing::Test {
 protected:
  static constexpr int64_t kHeads = 4, kKvHeads = 2, kDim = 8, kBlock = 4, kSlots = 40;

  PagedAttentionTest()
      : q_(RandomValues(kRows * kHeads * kDim, 1, 1)),
        k_(RandomValues(kSlots * kKvHeads * kDim, 2, 1)),
        v_(RandomValues(kSlots * kKvHeads * kDim, 3, 1)) {}

  std::vector<float> Run(int64_t first, int64_t rows, int64_t window) const {
    std::vector<float> out(static_cast<size_t>(rows * kHeads * kDim));
    PagedAttentionArgs args;
    args.q = q_.data() + first * kHeads * kDim;
    args.k = k_.data();
    args.v = v_.data();
    args.out = out.data();
    args.tables = tables_.data();
    args.row_tables = row_tables_.data() + first;
    args.lengths = lengths_.data() + first;
    args.rows = rows;
    args.table_stride = 3;
    args.block_tokens = kBlock;
    args.heads = kHeads;
    args.kv_heads = kKvHeads;
    args.head_dim = kDim;
    args.window = window;
    PagedAttention(args);
    return out;
  }

  // The definition, in double.
  std::vector<double> Expected(int64_t row, int64_t head, int64_t window) const {
    const auto r = static_cast<size_t>(row);
    const int64_t length = lengths_[r];
    std::vector<double> p, out(kDim);
    std::vector<int64_t> at;
    double sum = 0;
    for (int64_t j = window > 0 ? std::max<int64_t>(0, length - window) : 0; j < length; ++j) {
      const int64_t block = tables_[static_cast<size_t>(row_tables_[r] * 3 + j / kBlock)];
      at.push_back((block * kBlock + j % kBlock) * kKvHeads * kDim + head / 2 * kDim);
      double dot = 0;
      for (int64_t i = 0; i < kDim; ++i) {
        dot += double{q_[static_cast<size_t>((row * kHeads + head) * kDim + i)]} *
               double{k_[static_cast<size_t>(at.back() + i)]};
      }
      p.push_back(std::exp(dot / std::sqrt(double{kDim})));
      sum += p.back();
    }
    for (size_t j = 0; j < p.size(); ++j) {
      for (size_t i = 0; i < out.size(); ++i) {
        out[i] += p[j] / sum * double{v_[static_cast<size_t>(at[j]) + i]};
      }
    }
    return out;
  }

  static constexpr int64_t kRows = 5;
  const std::vector<int32_t> tables_{7, 2, 9, 0, 5, 1};
  const std::vector<int32_t> row_tables_{0, 0, 1, 1, 1};
  const std::vector<int32_t> lengths_{11, 12, 1, 4, 9};
  const std::vector<float> q_, k_, v_;
};

TEST_F(PagedAttentionTest, IsAttentionOverTheTokensOfTheTable) {
  for (const int64_t window : {0, 1, 5}) {
    const auto out = Run(0, kRows, window);
    for (int64_t r = 0; r < kRows; ++r) {
      for (int64_t h = 0; h < kHeads; ++h) {
        const auto expected = Expected(r, h, window);
        for (size_t i = 0; i < expected.size(); ++i) {
          EXPECT_NEAR(out[static_cast<size_t>((r * kHeads + h) * kDim) + i], expected[i], 1e-5);
        }
      }
    }
  }
}

TEST_F(PagedAttentionTest, ARowsBitsAreThoseOfTheRowAlone) {
  const auto all = Run(0, kRows, 0);
  for (int64_t r = 0; r < kRows; ++r) {
    const auto begin = all.begin() + r * kHeads * kDim;
    EXPECT_EQ(Run(r, 1, 0), std::vector<float>(begin, begin + kHeads * kDim));
  }
}

TEST(Scatter, PutsRowsAndColumnsInTheirPlaces) {
  const std::vector<float> from{1, 2, 3, 4};
  const std::vector<int32_t> places{2, 0};
  std::vector<float> rows(6, 9);
  ScatterRows({from.data(), places.data(), rows.data(), 2, 2});
  EXPECT_EQ(rows, (std::vector<float>{3, 4, 9, 9, 1, 2}));
  std::vector<float> columns(6, 9);
  ScatterColumns({from.data(), places.data(), columns.data(), 2, 2, 3, false});
  EXPECT_EQ(columns, (std::vector<float>{2, 9, 1, 4, 9, 3}));
  ScatterColumns({from.data(), places.data(), columns.data(), 2, 2, 3, true});
  EXPECT_EQ(columns, (std::vector<float>{4, 9, 2, 8, 9, 6}));
}

}  // namespace
}  // namespace signum::ops
