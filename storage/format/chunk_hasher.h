#pragma once

#include <vector>

#include "storage/base/digest.h"
#include "storage/format/delta_file.h"

namespace signum {

// The digest of a stream and of each kChunkBytes of it, as a manifest lists them. Not thread-safe.
class ChunkHasher {
 public:
  void Update(ConstBytes bytes);
  DeltaWriter::Sealed Finish();  // size, digest, chunks

 private:
  Sha256 whole_;
  Sha256 chunk_;
  uint64_t in_chunk_ = 0;
  DeltaWriter::Sealed sealed_;
};

}  // namespace signum
