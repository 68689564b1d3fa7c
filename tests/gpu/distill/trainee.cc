#include "tests/gpu/distill/trainee.h"

namespace signum {

Trainee::Trainee(TestCheckpoint base, TestCheckpoint fine, const TraineeOptions& options,
                 TokenRows rows)
    : base_(std::move(base)),
      fine_(std::move(fine)),
      made_(base_, fine_, options.compress),
      teacher_(fine_, options.resident),
      student_model_(fine_, made_.student, options.resident),
      rows_(std::move(rows)),
      hidden_(
          *HiddenStates(teacher_.compute, teacher_.config, *teacher_.weights, rows_, NoProgress)),
      gradient_(*ScaleGradient::Create(student_model_.compute,
                                       {student_model_.config, *made_.student,
                                        *student_model_.weights, *teacher_.weights->Head()},
                                       rows_.count(), rows_.tokens, options.keep_activations)) {}

double Trainee::Loss(ops::Loss loss) {
  student_model_.weights->Refresh();
  ScaleGradient::Batch batch{rows_.ids, {}};
  for (int64_t r = 0; r < rows_.count(); ++r) {
    batch.teacher_hidden.push_back(hidden_.data() +
                                   r * rows_.tokens * student_model_.config.hidden);
  }
  return *gradient_->Run(batch, loss);
}

std::vector<float> Trainee::Gradient() const {
  return {gradient_->gradient(), gradient_->gradient() + student().scale_count()};
}

}  // namespace signum
