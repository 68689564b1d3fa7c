#include <cstring>

#include "gpu/encode.h"
#include "gpu/fetch.h"
#include "storage/format/safetensors.h"

namespace signum {
namespace {

constexpr uint64_t kPieceBytes = uint64_t{1} << 20;

}  // namespace

Result<bool> SameBytes(const ByteSource& a, const ByteSource& b) {
  if (a.size() != b.size()) return false;
  std::vector<std::byte> buffer_a;
  std::vector<std::byte> buffer_b;
  for (uint64_t offset = 0; offset < a.size(); offset += kPieceBytes) {
    const uint64_t size = std::min(kPieceBytes, a.size() - offset);
    SIGNUM_ASSIGN(const std::byte* piece_a, Fetch(a, offset, size, buffer_a));
    SIGNUM_ASSIGN(const std::byte* piece_b, Fetch(b, offset, size, buffer_b));
    if (std::memcmp(piece_a, piece_b, size) != 0) return false;
  }
  return true;
}

Result<void> PartWriter::Copy(const ByteSource& source, uint64_t offset, JobProgress& progress) {
  std::vector<std::byte> buffer;
  while (offset < source.size()) {
    const uint64_t size = std::min(kPieceBytes, source.size() - offset);
    SIGNUM_ASSIGN(const std::byte* piece, Fetch(source, offset, size, buffer));
    SIGNUM_TRY(writer_.Append({piece, size}));
    offset += size;
    progress.Add(size);
    SIGNUM_TRY(progress.Tick());
  }
  return {};
}

Result<Encoded> EncodeRaw(const EncodeContext& context, const EncodeInput& input) {
  if (!context.options.allow_not_finite) {
    SIGNUM_TRY(CheckFinite(input.info, *input.fine, "the fine-tune"));
  }
  PartWriter parts(context.writer);
  SIGNUM_TRY(parts.Begin(input.info.name, input.info.dtype, input.info.shape));
  SIGNUM_TRY(parts.Copy(*input.fine, 0, context.progress));
  return Encoded{Codec::kRaw, parts.bytes()};
}

}  // namespace signum
