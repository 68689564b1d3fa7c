#include <algorithm>
#include <cstring>

#include "storage/base/name.h"
#include "storage/format/safetensors.h"

namespace signum {

namespace {

constexpr size_t kBlockBytes = 4096;        // a fixed count lets the compiler vectorise the loop
constexpr size_t kReadBytes = 1024 * 1024;  // where the source has no view

// A value whose bits under `mask` (the exponent, or all but the sign) are all ones is NaN or
// infinity. `lsb` is mask's lowest bit: adding it carries into the sign bit exactly then. Add and
// OR vectorise at every width, a 64-bit compare does not on plain SSE2.
template <class T>
struct Probe {
  T mask;
  T lsb;

  bool Hits(T value) const {
    return (static_cast<T>((value & mask) + lsb) >> (8 * sizeof(T) - 1)) != 0;
  }

  bool AnyIn(const std::byte* block) const {
    T seen = 0;
    for (size_t i = 0; i < kBlockBytes; i += sizeof(T)) {
      seen |= static_cast<T>((LoadLe<T>(block + i) & mask) + lsb);
    }
    return (seen >> (8 * sizeof(T) - 1)) != 0;
  }

  // Offset of the first hit, or bytes.size().
  size_t Find(ConstBytes bytes) const {
    size_t at = 0;
    while (bytes.size() - at >= kBlockBytes && !AnyIn(bytes.data() + at)) at += kBlockBytes;
    while (at < bytes.size() && !Hits(LoadLe<T>(bytes.data() + at))) at += sizeof(T);
    return at;
  }
};

// Offset of the first such byte, or bytes.size().
size_t FindByte(ConstBytes bytes, int value) {
  if (bytes.empty()) return 0;
  const void* at = std::memchr(bytes.data(), value, bytes.size());
  return at == nullptr ? bytes.size()
                       : static_cast<size_t>(static_cast<const std::byte*>(at) - bytes.data());
}

size_t FindNotFinite(Dtype dtype, ConstBytes bytes) {
  switch (dtype) {
    case Dtype::kF64:
      return Probe<uint64_t>{0x7ff0'0000'0000'0000, 0x0010'0000'0000'0000}.Find(bytes);
    case Dtype::kF32:
    case Dtype::kC64:  // two F32
      return Probe<uint32_t>{0x7f80'0000, 0x0080'0000}.Find(bytes);
    case Dtype::kF16:
      return Probe<uint16_t>{0x7c00, 0x0400}.Find(bytes);
    case Dtype::kBF16:
      return Probe<uint16_t>{0x7f80, 0x0080}.Find(bytes);
    case Dtype::kF8E5M2:
      return Probe<uint8_t>{0x7c, 0x04}.Find(bytes);
    case Dtype::kF8E4M3:  // no infinity; NaN is all ones
      return Probe<uint8_t>{0x7f, 0x01}.Find(bytes);
    case Dtype::kF8E8M0:  // an exponent alone; NaN is all ones
      return FindByte(bytes, 0xff);
    default:
      return bytes.size();
  }
}

Result<void> CheckPiece(const TensorInfo& info, ConstBytes piece, uint64_t offset,
                        std::string_view file) {
  const size_t at = FindNotFinite(info.dtype, piece);
  if (at == piece.size()) return {};
  return Fail(Errc::kUnusable, "not_finite",
              "file '" + Printable(file) + "': tensor '" + Printable(info.name) + "' (" +
                  info.Describe() + ") has a NaN or infinity at byte " +
                  std::to_string(offset + at) + " of its data");
}

}  // namespace

Result<void> CheckFinite(const TensorInfo& info, const ByteSource& data, std::string_view file) {
  if (!data.View().empty()) return CheckPiece(info, data.View(), 0, file);
  std::vector<std::byte> buffer(std::min<uint64_t>(kReadBytes, data.size()));
  for (uint64_t offset = 0; offset < data.size(); offset += buffer.size()) {
    const size_t take = std::min<uint64_t>(buffer.size(), data.size() - offset);
    const MutableBytes piece = MutableBytes(buffer).first(take);
    SIGNUM_TRY(data.Read(offset, piece));
    SIGNUM_TRY(CheckPiece(info, piece, offset, file));
  }
  return {};
}

}  // namespace signum
