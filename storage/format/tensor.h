#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/byte_source.h"
#include "storage/base/digest.h"
#include "storage/base/result.h"

namespace signum {

// Element types of the safetensors format. Values are persisted: never renumber.
enum class Dtype : uint8_t {
  kBool = 0,
  kU8 = 1,
  kI8 = 2,
  kF8E5M2 = 3,
  kF8E4M3 = 4,
  kI16 = 5,
  kU16 = 6,
  kF16 = 7,
  kBF16 = 8,
  kI32 = 9,
  kU32 = 10,
  kF32 = 11,
  kF64 = 12,
  kI64 = 13,
  kU64 = 14,
  kF8E8M0 = 15,
  kC64 = 16,
};

std::string_view DtypeName(Dtype dtype);  // "BF16"
std::optional<Dtype> DtypeFromName(std::string_view name);
size_t DtypeSize(Dtype dtype);  // bytes an element
bool IsFloat(Dtype dtype);      // F64, F32, F16, BF16: the types Signum computes differences of

// Name, element type and row-major shape of a tensor.
struct TensorInfo {
  std::string name;
  Dtype dtype = Dtype::kF32;
  std::vector<uint64_t> shape;

  bool operator==(const TensorInfo&) const = default;
  uint64_t elements() const;  // product of shape; 1 for a scalar. Validated not to overflow.
  uint64_t bytes() const;
  std::string Describe() const;  // "BF16 [4096, 192]"
};

// The tensors of one checkpoint wherever they lie: shards of a directory, or objects of the store.
// Thread-safe.
class CheckpointSource {
 public:
  virtual ~CheckpointSource() = default;

  virtual const std::vector<TensorInfo>& tensors() const = 0;  // sorted by name, no duplicates
  // The data of tensors()[index], exactly tensors()[index].bytes() long.
  virtual Result<std::shared_ptr<const ByteSource>> Open(size_t index) const = 0;
  // SHA-256 of the data where it is known without reading it.
  virtual std::optional<Digest> KnownDigest(size_t index) const = 0;

  // Position of `name` in tensors(), if there (binary search).
  std::optional<size_t> Find(std::string_view name) const;
};

}  // namespace signum
