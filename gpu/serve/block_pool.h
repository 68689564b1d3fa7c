#pragma once

#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "storage/base/digest.h"

namespace signum {

// Which blocks of the cache of keys and values are whose. A block is used by a number of sequences;
// one that nobody uses keeps its contents as long as nobody needs its place, so that a prompt which
// begins like an earlier one finds its beginning computed. Not thread-safe.
class BlockPool {
 public:
  BlockPool(int64_t blocks, int64_t block_tokens);

  int64_t block_tokens() const { return block_tokens_; }
  int64_t total() const { return static_cast<int64_t>(blocks_.size()); }
  // Blocks that Take can give: empty ones and kept ones that nobody uses.
  int64_t available() const { return static_cast<int64_t>(empty_.size() + kept_.size()); }
  int64_t used() const { return total() - available(); }

  // A block for one user, its old contents forgotten: an empty one, else the one that has not been
  // used for longest. nullopt where all are in use.
  std::optional<int32_t> Take();
  // One more user of the block that holds `key`, if any.
  std::optional<int32_t> Share(const Digest& key);
  // Says what a full block holds. Another block of the same key stays the one that is found.
  void Keep(int32_t block, const Digest& key);
  // One user less.
  void Release(int32_t block);

 private:
  struct Block {
    int64_t users = 0;
    std::optional<Digest> key;
    std::list<int32_t>::iterator place;  // in kept_, where nobody uses it and it has a key
  };

  const int64_t block_tokens_;
  std::vector<Block> blocks_;
  std::vector<int32_t> empty_;
  std::list<int32_t> kept_;  // the longest unused first
  std::unordered_map<Digest, int32_t> by_key_;
};

// The blocks of one sequence, in order. The key of a full block is a digest over all tokens up to
// its end and over `root`, which names the weights (the delta's digest): generations never share.
class SequenceBlocks {
 public:
  SequenceBlocks(BlockPool& pool, std::string_view root);
  ~SequenceBlocks();
  SequenceBlocks(SequenceBlocks&& other) noexcept;
  SequenceBlocks& operator=(SequenceBlocks&&) = delete;

  // Takes over blocks that hold the beginning of `prompt`, and new ones for `capacity` tokens in
  // all. Returns for how many tokens keys and values are there (less than the whole prompt: the
  // last token is to be computed), or nullopt, with nothing taken, where there are too few blocks.
  std::optional<int64_t> Begin(std::span<const int32_t> prompt, int64_t capacity);
  // Takes blocks until there are enough for `capacity` tokens; false, with nothing taken, where
  // there are too few.
  bool Grow(int64_t capacity);
  // Keys and values of `tokens`, all of the sequence so far, are in place.
  void Filled(std::span<const int32_t> tokens);

  std::span<const int32_t> table() const { return table_; }

 private:
  Digest NextKey(std::span<const int32_t> block) const;
  size_t BlocksFor(int64_t capacity) const;
  void ReleaseAll();

  BlockPool* pool_;
  std::vector<int32_t> table_;
  size_t known_ = 0;  // blocks whose keys are set
  Digest last_key_;   // of block known_ - 1, or of the root
};

}  // namespace signum
