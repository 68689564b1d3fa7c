#include "gpu/ops/paged_attention.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "gpu/ops/crew.h"
#include "gpu/ops/exp.h"
#include "gpu/ops/row_product.h"

namespace signum::ops {
namespace {

// One row and the keys [first, length) that it sees, in runs that lie in one block.
class Row {
 public:
  Row(const PagedAttentionArgs& args, int64_t r)
      : args_(args),
        r_(r),
        table_(args.tables + args.row_tables[r] * args.table_stride),
        length_(args.lengths[r]),
        first_(args.window > 0 ? std::max<int64_t>(0, length_ - args.window) : 0) {}

  int64_t keys() const { return length_ - first_; }

  // Calls visit(slot, key counted from the first seen, count) for each run.
  template <class Visit>
  void ForRuns(Visit visit) const {
    for (int64_t j = first_; j < length_;) {
      const int64_t in_block = j % args_.block_tokens;
      const int64_t count = std::min(args_.block_tokens - in_block, length_ - j);
      visit(table_[j / args_.block_tokens] * args_.block_tokens + in_block, j - first_, count);
      j += count;
    }
  }

  const float* q(int64_t head) const {
    return args_.q + (r_ * args_.heads + head) * args_.head_dim;
  }
  float* out(int64_t head) const { return args_.out + (r_ * args_.heads + head) * args_.head_dim; }

 private:
  const PagedAttentionArgs& args_;
  int64_t r_;
  const int32_t* table_;
  int64_t length_, first_;
};

void Softmax(float* values, int64_t n, float scale) {
  float most = values[0];
  for (int64_t j = 1; j < n; ++j) most = std::max(most, values[j]);
  for (int64_t j = 0; j < n; ++j) values[j] = Exp((values[j] - most) * scale);
  float sum = 0;
  for (int64_t j = 0; j < n; ++j) sum += values[j];
  const float inverse = 1.0F / sum;
  for (int64_t j = 0; j < n; ++j) values[j] *= inverse;
}

// out = Σ_j p_j v_j, j ascending.
void Mix(const float* p, const float* v, int64_t stride, int64_t count, int64_t n, float* out) {
  for (int64_t j = 0; j < count; ++j) {
    const float weight = p[j];
    const float* from = v + j * stride;
    for (int64_t i = 0; i < n; ++i) out[i] += weight * from[i];
  }
}

// Row r; `p` is the thread's own memory.
void Attend(const PagedAttentionArgs& args, int64_t r, std::vector<float>& p) {
  const int64_t group = args.heads / args.kv_heads;
  const int64_t width = args.kv_heads * args.head_dim;
  const float scale = 1.0F / std::sqrt(static_cast<float>(args.head_dim));
  const Row row(args, r);
  const int64_t keys = row.keys();
  p.resize(static_cast<size_t>(group * keys));
  for (int64_t kv = 0; kv < args.kv_heads; ++kv) {
    const int64_t head = kv * group;
    const int64_t at = kv * args.head_dim;
    row.ForRuns([&](int64_t slot, int64_t key, int64_t count) {
      RowProduct({row.q(head), args.k + slot * width + at, p.data() + key, group, count,
                  args.head_dim, args.head_dim, width, keys, false});
    });
    std::fill_n(row.out(head), group * args.head_dim, 0.0F);
    for (int64_t g = 0; g < group; ++g) {
      float* probabilities = p.data() + g * keys;
      Softmax(probabilities, keys, scale);
      row.ForRuns([&](int64_t slot, int64_t key, int64_t count) {
        Mix(probabilities + key, args.v + slot * width + at, width, count, args.head_dim,
            row.out(head + g));
      });
    }
  }
}

}  // namespace

void PagedAttention(const PagedAttentionArgs& args, Crew* crew) {
  int64_t keys = 0;
  for (int64_t r = 0; r < args.rows; ++r) keys += Row(args, r).keys();
  const int64_t cost = 2 * args.heads * args.head_dim * keys / std::max<int64_t>(args.rows, 1);
  Divide(crew, args.rows, 1, cost, [&](int64_t first, int64_t count) {
    std::vector<float> p;
    for (int64_t r = first; r < first + count; ++r) Attend(args, r, p);
  });
}

void PagedAttention(const PagedAttentionArgs& args) { PagedAttention(args, nullptr); }

void ScatterRows(const ScatterRowsArgs& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    std::memcpy(args.to + args.slots[r] * args.n, args.from + r * args.n,
                static_cast<size_t>(args.n) * sizeof(float));
  }
}

void ScatterColumns(const ScatterColumnsArgs& args) {
  for (int64_t r = 0; r < args.rows; ++r) {
    const float* from = args.from + r * args.count;
    float* to = args.to + r * args.to_columns;
    for (int64_t i = 0; i < args.count; ++i) {
      float& at = to[args.columns[i]];
      at = args.accumulate ? at + from[i] : from[i];
    }
  }
}

}  // namespace signum::ops
