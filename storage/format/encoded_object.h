#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "storage/base/byte_source.h"
#include "storage/base/digest.h"
#include "storage/base/lru_cache.h"
#include "storage/format/block_codec.h"
#include "storage/format/checkpoint.h"
#include "storage/format/tensor.h"

// Encoded objects: the lossless form of a stored object's bytes (FORMAT.md, "Encoded object").
// Independent blocks of differences from a base object, an index, a footer.

namespace signum {

NumberLayout LayoutOf(Dtype dtype);

struct EncodeResult {
  uint64_t size = 0;  // of the encoded object
  Digest digest;      // of the raw bytes, as decoding what was written gives them
};

// Encodes all of `raw` in one pass and bounded memory, handing the encoded object to `sink` piece
// by piece. `base` may be null, shorter than `raw` (then zeros follow) or longer. `raw` must be a
// whole number of the layout's numbers. Every block is decoded again before it is handed on, so
// what `digest` says will come back.
using ByteSink = std::function<Result<void>(ConstBytes)>;
Result<EncodeResult> EncodeObject(const ByteSource& raw, const NumberLayout& layout,
                                  const ByteSource* base, const ByteSink& sink,
                                  const ByteProgress& progress);

// Blocks decoded last, for readers that take less than a block at a time. Thread-safe.
struct BlockKey {
  Digest object;
  uint64_t block = 0;
  bool operator==(const BlockKey&) const = default;
};
struct BlockKeyHash {
  size_t operator()(const BlockKey& key) const noexcept {
    return std::hash<Digest>()(key.object) ^ (key.block * 0x9e3779b97f4a7c15u);
  }
};
using BlockCache = LruCache<BlockKey, std::vector<std::byte>, BlockKeyHash>;

// The raw bytes of an encoded object, decoded as they are read: a range decodes the blocks that it
// touches, and each is checked. Memory does not depend on what the bytes claim. Thread-safe.
class EncodedObject final : public ByteSource {
 public:
  // `base` is what it was encoded from, or null; `object` is the raw bytes' digest and names it in
  // the cache (which may be null) and in messages. Errc::kCorrupt "bad_encoding".
  static Result<std::shared_ptr<const EncodedObject>> Open(
      std::shared_ptr<const ByteSource> encoded, std::shared_ptr<const ByteSource> base,
      const Digest& object, std::shared_ptr<BlockCache> cache);

  uint64_t size() const override { return size_; }
  // Errc::kCorrupt "bad_encoding" where a block does not come back as it was.
  Result<void> Read(uint64_t offset, MutableBytes out) const override;

 private:
  struct Block {
    uint64_t begin = 0;  // in encoded_
    uint32_t length = 0;
    Fletcher sums;  // of the raw bytes
  };

  EncodedObject() = default;
  Result<void> ReadFooter();
  Result<void> ReadIndex(ConstBytes index);
  Result<void> Decode(uint64_t block, MutableBytes raw) const;
  Result<std::shared_ptr<const std::vector<std::byte>>> CachedBlock(uint64_t block) const;
  uint64_t RawBytes(uint64_t block) const;
  Error Bad(const std::string& why) const;

  std::shared_ptr<const ByteSource> encoded_, base_;
  Digest object_;
  std::shared_ptr<BlockCache> cache_;
  NumberLayout layout_;
  uint64_t size_ = 0;
  std::vector<Block> blocks_;
};

}  // namespace signum
