#pragma once

#include <memory>
#include <vector>

#include "storage/base/bytes.h"
#include "storage/base/result.h"
#include "storage/format/plane_choice.h"

namespace signum {

// Raw bytes of a block of an encoded object (encoded_object.h); the last one may be shorter.
inline constexpr size_t kEncodedBlockBytes = 256 * 1024;

// Fletcher sums: a_i = a_{i-1} + w_i, b_i = b_{i-1} + a_i mod 2^64 over 64-bit little-endian words,
// the last one filled up with 0. They find every changed word, and words in another order.
struct Fletcher {
  uint64_t a = 0, b = 0;
  bool operator==(const Fletcher&) const = default;

  static Fletcher Of(ConstBytes bytes);
};

// Encodes and decodes single blocks of up to kEncodedBlockBytes. Holds what both need to work with
// (about 1 MiB), so keep one for many blocks. Not thread-safe.
class BlockCodec {
 public:
  BlockCodec();
  ~BlockCodec();
  BlockCodec(const BlockCodec&) = delete;
  BlockCodec& operator=(const BlockCodec&) = delete;

  // The block of `raw`, a whole number of numbers. `base` has its size, or is empty for a base of
  // zeros. Valid until the next call.
  Result<ConstBytes> Encode(const NumberLayout& layout, ConstBytes raw, ConstBytes base);

  // Fills `raw`. Errc::kCorrupt "bad_encoding" where `block` cannot decode to so many bytes.
  Result<void> Decode(const NumberLayout& layout, ConstBytes block, ConstBytes base,
                      MutableBytes raw);

 private:
  struct Zstd;
  bool SetLevel(int level);
  Result<size_t> AppendPlane(ConstBytes plane, PlaneCoding coding, int level, size_t end);
  Result<const std::byte*> TakePlane(size_t length, ConstBytes& rest, MutableBytes room);

  std::unique_ptr<Zstd> zstd_;
  std::vector<std::byte> planes_, block_;
};

}  // namespace signum
