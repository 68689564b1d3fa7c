#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "storage/base/bytes.h"
#include "storage/base/result.h"

namespace signum {

// Bytes in memory, valid as long as `owner` is.
struct HeldBytes {
  ConstBytes bytes;
  std::shared_ptr<const void> owner;
};

// Immutable bytes that can be read at random: a mapped file, a stored object, a checkpoint file
// that is put together or rebuilt as it is read. Thread-safe: several threads may read at once.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  virtual uint64_t size() const = 0;

  // Fills all of `out` with the bytes at `offset`. Reading past size() is Errc::kInvalid; bytes
  // that fail their checksum are Errc::kCorrupt.
  virtual Result<void> Read(uint64_t offset, MutableBytes out) const = 0;

  // The bytes themselves where the source holds them in (mapped) memory, else an empty span. Valid
  // as long as the source.
  virtual ConstBytes View() const { return {}; }

  // From one byte to `most` bytes at `offset`, where they lie in memory if the source can keep them
  // there (a cached block of the store), else read into memory of their own. Errors as Read's;
  // nothing may be asked for at size().
  virtual Result<HeldBytes> Hold(uint64_t offset, uint64_t most) const;
};

// Bytes owned in memory.
class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::string bytes) : bytes_(std::move(bytes)) {}
  uint64_t size() const override { return bytes_.size(); }
  Result<void> Read(uint64_t offset, MutableBytes out) const override;
  ConstBytes View() const override { return AsBytes(bytes_); }

 private:
  std::string bytes_;
};

// A window [offset, offset + size) of another source.
class SliceSource final : public ByteSource {
 public:
  SliceSource(std::shared_ptr<const ByteSource> whole, uint64_t offset, uint64_t size)
      : whole_(std::move(whole)), offset_(offset), size_(size) {}
  uint64_t size() const override { return size_; }
  Result<void> Read(uint64_t offset, MutableBytes out) const override;
  ConstBytes View() const override;
  Result<HeldBytes> Hold(uint64_t offset, uint64_t most) const override;

 private:
  std::shared_ptr<const ByteSource> whole_;
  uint64_t offset_;
  uint64_t size_;
};

// Several sources one after another, as one.
class ConcatSource final : public ByteSource {
 public:
  explicit ConcatSource(std::vector<std::shared_ptr<const ByteSource>> parts);
  uint64_t size() const override { return starts_.back(); }
  Result<void> Read(uint64_t offset, MutableBytes out) const override;

 private:
  std::vector<std::shared_ptr<const ByteSource>> parts_;
  std::vector<uint64_t> starts_;  // starts_[i] is where part i begins; one more for the end
};

// Checks that [offset, offset + length) lies in `size` bytes.
Result<void> CheckRange(uint64_t offset, uint64_t length, uint64_t size);

// Reads a whole source of at most `limit` bytes into memory (Errc::kTooLarge above it).
Result<std::string> ReadAll(const ByteSource& source, uint64_t limit);

}  // namespace signum
