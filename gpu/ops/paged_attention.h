#pragma once

#include <cstdint>

namespace signum::ops {

class Crew;

// Causal attention of single tokens over a cache in blocks. A row is one token of some sequence; it
// sees the first lengths[r] tokens of the sequence (itself the last of them, so one at least),
// whose keys and values lie in the blocks that the sequence's table lists, `block_tokens` each:
//   token j of row r is at slot  tables[row_tables[r] · table_stride + j / block_tokens] ·
//                                block_tokens + j % block_tokens
// of k and v [slots, kv_heads · head_dim]. q, out [rows, heads · head_dim]; heads, grouping, window
// and scaling as in attention.h. A row's result depends on its own query and sequence alone.
struct PagedAttentionArgs {
  const float* q = nullptr;
  const float* k = nullptr;
  const float* v = nullptr;
  float* out = nullptr;
  const int32_t* tables = nullptr;
  const int32_t* row_tables = nullptr;
  const int32_t* lengths = nullptr;
  int64_t rows = 0, table_stride = 0, block_tokens = 0;
  int64_t heads = 0, kv_heads = 0, head_dim = 0;
  int64_t window = 0;
};
void PagedAttention(const PagedAttentionArgs& args);
// Its rows divided among a crew (null: none), which changes no bit.
void PagedAttention(const PagedAttentionArgs& args, Crew* crew);

// to[slots[r], :] = from[r, :] for rows of n: how new keys and values get into the cache.
struct ScatterRowsArgs {
  const float* from = nullptr;
  const int32_t* slots = nullptr;
  float* to = nullptr;
  int64_t rows = 0, n = 0;
};
void ScatterRows(const ScatterRowsArgs& args);

// to[r, columns[i]] (+)= from[r, i] for i < count: outputs of the rows of a weight that a delta
// lists, none of them twice. to [rows, to_columns].
struct ScatterColumnsArgs {
  const float* from = nullptr;
  const int32_t* columns = nullptr;
  float* to = nullptr;
  int64_t rows = 0, count = 0, to_columns = 0;
  bool accumulate = false;
};
void ScatterColumns(const ScatterColumnsArgs& args);

}  // namespace signum::ops
