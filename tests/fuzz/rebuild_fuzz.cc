// A delta file from outside over a base that is known: whatever DeltaReader lets through is
// rebuilt, whole and from odd offsets, or refused.

#include <cstddef>
#include <cstdint>

#include "gpu/checkpoint_blobs.h"
#include "tests/fuzz/rebuild_base.h"

namespace signum {
namespace {

void ReadInPieces(const ByteSource& source) {
  std::vector<std::byte> piece(777);
  for (uint64_t at = 0; at < source.size(); at += piece.size()) {
    const uint64_t size = std::min<uint64_t>(piece.size(), source.size() - at);
    if (!source.Read(at, MutableBytes(piece).first(size))) return;
  }
}

void Rebuild(std::string bytes) {
  static const RebuildBase base = MakeRebuildBase();
  const auto delta = DeltaReader::Open(std::make_shared<MemorySource>(std::move(bytes)), "delta");
  if (!delta) return;
  const auto rebuilder =
      Rebuilder::Create(base.checkpoint, (*delta)->header().base, base.blobs, *delta);
  if (!rebuilder) return;
  for (const RecipeFile& file : (*delta)->recipe().files) {
    const auto source = (*rebuilder)->OpenFile(file.path);
    if (source) ReadInPieces(**source);
  }
}

}  // namespace
}  // namespace signum

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  signum::Rebuild(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
