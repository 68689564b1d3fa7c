#pragma once

#include <gtest/gtest.h>

#include "gpu/distill/distill.h"
#include "tests/gpu/model/model_support.h"

namespace signum {

// A distillation of a small model that takes milliseconds: its models, delta and options.
class SmallDistillation : public testing::Test {
 protected:
  SmallDistillation() {
    Take(base_, fine_);
    options_.train.steps = 2;
    options_.calibration_rows = 4;
    options_.row_tokens = 8;
    options_.held_out_rows = 2;
    options_.threads = 1;
  }
  // What is distilled from now on.
  void Take(const TestCheckpoint& base, const TestCheckpoint& fine) {
    delta_ = MakeDelta(base, fine, {}, dir_);
    models_ = {base.checkpoint,          base.checkpoint->config_json(),
               base.hashed.BaseDigest(), base.blobs,
               fine.checkpoint,          fine.checkpoint->config_json()};
  }

  TempDir dir_;
  TestCheckpoint base_ = OpenVariant("llama3"), fine_ = OpenVariant("llama3", "fine");
  TestDelta delta_;
  DeltaModels models_;
  DistillOptions options_;
};

}  // namespace signum
