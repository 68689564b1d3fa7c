#include "gpu/serve/block_pool.h"

#include <algorithm>

namespace signum {

BlockPool::BlockPool(int64_t blocks, int64_t block_tokens)
    : block_tokens_(block_tokens), blocks_(static_cast<size_t>(blocks)) {
  for (int64_t i = blocks; i-- > 0;) empty_.push_back(static_cast<int32_t>(i));
}

std::optional<int32_t> BlockPool::Take() {
  int32_t index;
  if (!empty_.empty()) {
    index = empty_.back();
    empty_.pop_back();
  } else if (!kept_.empty()) {
    index = kept_.front();
    kept_.pop_front();
  } else {
    return std::nullopt;
  }
  Block& block = blocks_[static_cast<size_t>(index)];
  if (block.key) by_key_.erase(*block.key);
  block.key.reset();
  block.users = 1;
  return index;
}

std::optional<int32_t> BlockPool::Share(const Digest& key) {
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return std::nullopt;
  Block& block = blocks_[static_cast<size_t>(found->second)];
  if (block.users++ == 0) kept_.erase(block.place);
  return found->second;
}

void BlockPool::Keep(int32_t index, const Digest& key) {
  Block& block = blocks_[static_cast<size_t>(index)];
  if (!block.key && by_key_.emplace(key, index).second) block.key = key;
}

void BlockPool::Release(int32_t index) {
  Block& block = blocks_[static_cast<size_t>(index)];
  if (--block.users > 0) return;
  if (block.key) {
    block.place = kept_.insert(kept_.end(), index);
  } else {
    empty_.push_back(index);
  }
}

SequenceBlocks::SequenceBlocks(BlockPool& pool, std::string_view root)
    : pool_(&pool), last_key_(Sha256::Of(AsBytes(root))) {}

SequenceBlocks::~SequenceBlocks() { ReleaseAll(); }

SequenceBlocks::SequenceBlocks(SequenceBlocks&& other) noexcept
    : pool_(other.pool_),
      table_(std::move(other.table_)),
      known_(other.known_),
      last_key_(other.last_key_) {
  other.table_.clear();
}

// The last first, so that of a kept prefix its end goes before its beginning.
void SequenceBlocks::ReleaseAll() {
  for (auto block = table_.rbegin(); block != table_.rend(); ++block) pool_->Release(*block);
  table_.clear();
}

Digest SequenceBlocks::NextKey(std::span<const int32_t> block) const {
  Sha256 hash;
  hash.Update(last_key_.bytes);
  hash.Update(std::as_bytes(block));
  return hash.Finish();
}

std::optional<int64_t> SequenceBlocks::Begin(std::span<const int32_t> prompt, int64_t capacity) {
  const auto size = static_cast<size_t>(pool_->block_tokens());
  const Digest root = last_key_;
  while ((known_ + 1) * size < prompt.size()) {
    const Digest key = NextKey(prompt.subspan(known_ * size, size));
    const auto block = pool_->Share(key);
    if (!block) break;
    table_.push_back(*block);
    last_key_ = key;
    ++known_;
  }
  if (!Grow(capacity)) {
    ReleaseAll();
    known_ = 0;
    last_key_ = root;
    return std::nullopt;
  }
  return static_cast<int64_t>(known_ * size);
}

size_t SequenceBlocks::BlocksFor(int64_t capacity) const {
  return static_cast<size_t>((capacity + pool_->block_tokens() - 1) / pool_->block_tokens());
}

bool SequenceBlocks::Grow(int64_t capacity) {
  const size_t blocks = BlocksFor(capacity);
  const size_t missing = blocks - std::min(blocks, table_.size());
  if (static_cast<int64_t>(missing) > pool_->available()) return false;
  while (table_.size() < blocks) table_.push_back(*pool_->Take());
  return true;
}

void SequenceBlocks::Filled(std::span<const int32_t> tokens) {
  const auto size = static_cast<size_t>(pool_->block_tokens());
  while ((known_ + 1) * size <= tokens.size()) {
    last_key_ = NextKey(tokens.subspan(known_ * size, size));
    pool_->Keep(table_[known_], last_key_);
    ++known_;
  }
}

}  // namespace signum
