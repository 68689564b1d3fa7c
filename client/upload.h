#pragma once

#include <functional>
#include <string>

#include "client/registry.h"
#include "storage/base/result.h"
#include "storage/format/checkpoint.h"

namespace signum::client {

struct UploadProgress {
  std::string_view stage;  // "hash" or "upload"
  std::string_view path;   // the file in hand
  uint64_t done = 0;       // bytes of all files together
  uint64_t total = 0;
};
using UploadCallback = std::function<void(const UploadProgress&)>;

// Uploads every file of a checkpoint and returns the upload's id. Small files go first, so that
// what is cheap to refuse is refused early; each file's SHA-256 is declared, so that the registry
// checks what arrives. A broken connection goes on from the offset the registry has, in as many
// tries as the registry's `patience` allows without progress.
Result<std::string> UploadCheckpoint(Registry& registry, const Checkpoint& checkpoint,
                                     const UploadCallback& callback);

}  // namespace signum::client
