#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "storage/base/digest.h"
#include "storage/format/tensor.h"

namespace signum {

// How one file of a checkpoint is put together again, byte for byte, from content-addressed pieces.
// A plain file is one piece. A safetensors file is its header (8 + N bytes) followed by its tensors
// in data order, each named by the digest of its data.
struct RecipeFile {
  std::string path;
  uint64_t size = 0;
  Digest digest;  // of the whole file
  bool safetensors = false;
  Digest header;  // safetensors only: digest of the first header_size bytes
  uint64_t header_size = 0;
  std::vector<Digest> tensors;  // safetensors only: in data order; sizes come from the header

  bool operator==(const RecipeFile&) const = default;
};

// A whole checkpoint. Canonical JSON; its digest names the checkpoint's exact bytes.
struct Recipe {
  std::vector<RecipeFile> files;  // sorted by path

  bool operator==(const Recipe&) const = default;
  uint64_t TotalBytes() const;
  const RecipeFile* Find(std::string_view path) const;

  std::string Serialize() const;                       // RFC 8785
  static Result<Recipe> Parse(std::string_view json);  // Errc::kCorrupt names the field
};

// The base manifest: canonical JSON of the sorted tensor table (name, dtype, shape, SHA-256 of
// data). It leaves out files and sharding, so that a base keeps its identity when it is sharded
// anew or a README is added. Its SHA-256 is the `base_digest` that deltas name.
struct BaseTensor {
  TensorInfo info;
  Digest digest;
};
std::string SerializeBaseManifest(const std::vector<BaseTensor>& tensors);

}  // namespace signum
