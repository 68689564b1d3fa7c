#include "storage/format/chunk_hasher.h"

#include <algorithm>

namespace signum {

void ChunkHasher::Update(ConstBytes bytes) {
  sealed_.size += bytes.size();
  while (!bytes.empty()) {
    const ConstBytes piece = bytes.first(std::min<uint64_t>(bytes.size(), kChunkBytes - in_chunk_));
    whole_.Update(piece);
    chunk_.Update(piece);
    in_chunk_ = (in_chunk_ + piece.size()) % kChunkBytes;
    if (in_chunk_ == 0) sealed_.chunks.push_back(chunk_.Finish());
    bytes = bytes.subspan(piece.size());
  }
}

DeltaWriter::Sealed ChunkHasher::Finish() {
  if (in_chunk_ != 0) sealed_.chunks.push_back(chunk_.Finish());
  in_chunk_ = 0;
  sealed_.digest = whole_.Finish();
  return std::exchange(sealed_, {});
}

}  // namespace signum
