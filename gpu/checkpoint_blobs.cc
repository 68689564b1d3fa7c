#include "gpu/checkpoint_blobs.h"

namespace signum {

CheckpointBlobs::CheckpointBlobs(const Checkpoint& checkpoint, const Recipe& recipe) {
  for (const CheckpointFile& file : checkpoint.files()) {
    const RecipeFile* described = recipe.Find(file.path);
    if (described == nullptr) continue;
    if (described->safetensors) {
      blobs_[described->header] =
          std::make_shared<SliceSource>(file.bytes, 0, described->header_size);
    } else {
      blobs_[described->digest] = file.bytes;
    }
  }
}

Result<std::shared_ptr<const ByteSource>> CheckpointBlobs::OpenBlob(const Digest& digest) const {
  const auto found = blobs_.find(digest);
  if (found != blobs_.end()) return found->second;
  return Fail(Errc::kNotFound, "unknown_blob", "the checkpoint has no piece " + digest.Text());
}

}  // namespace signum
