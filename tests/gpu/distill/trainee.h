#pragma once

#include "gpu/distill/scale_gradient.h"
#include "tests/gpu/model/model_support.h"

namespace signum {

// What else a trainee is made with.
struct TraineeOptions {
  CompressOptions compress;
  bool keep_activations = true;
  bool resident = true;  // the weights of student and teacher
};

// Loss and gradient of a delta at one batch, the fine-tune being the teacher.
class Trainee {
 public:
  Trainee(TestCheckpoint base, TestCheckpoint fine, const TraineeOptions& options, TokenRows rows);

  double Loss(ops::Loss loss = ops::Loss::kMse);
  std::vector<float> Gradient() const;
  Student& student() const { return *made_.student; }
  TestModel& model() { return student_model_; }

 private:
  TestCheckpoint base_, fine_;
  TestStudent made_;
  TestModel teacher_, student_model_;
  TokenRows rows_;
  ops::Buffer<float> hidden_;
  std::unique_ptr<ScaleGradient> gradient_;
};

}  // namespace signum
