#pragma once

#include <memory>
#include <string>
#include <vector>

#include "gpu/checkpoint_blobs.h"
#include "tests/storage/format/format_support.h"

namespace signum {

// The base that the seeds of rebuild_fuzz (seeds/rebuild/) are made against: a linear weight, an
// embedding and a norm of counting bytes.
struct RebuildBase {
  std::shared_ptr<const Checkpoint> checkpoint;
  HashedCheckpoint hashed;
  std::shared_ptr<const CheckpointBlobs> blobs;
};

inline RebuildBase MakeRebuildBase() {
  const std::string file = MakeSafetensors({Counting({"a.weight", Dtype::kBF16, {24, 50}}),
                                            Counting({"b.weight", Dtype::kF32, {32, 32}}),
                                            Counting({"lm_head.weight", Dtype::kBF16, {40, 32}}),
                                            Counting({"norm.weight", Dtype::kBF16, {50}})});
  RebuildBase base;
  base.checkpoint = *Checkpoint::Parse(
      {{"config.json", Source("{\"model_type\":\"llama\"}")}, {"model.safetensors", Source(file)}});
  base.hashed = *HashCheckpoint(*base.checkpoint, {});
  base.blobs = std::make_shared<CheckpointBlobs>(*base.checkpoint, base.hashed.recipe);
  return base;
}

}  // namespace signum
