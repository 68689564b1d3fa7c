#pragma once

#include "gpu/distill/student.h"
#include "gpu/model/forward.h"

namespace signum {

// Gives a student better signs and row scales without a backward pass: layer by layer, with what
// the calibration rows give each linear product as input in the student so far (the parts of a
// layer before it as the fine-tune has them). Signs by ChooseSigns, then the scale of a row (or of
// the tensor) in closed form, a few times in turn; column scales stay. The head is done too;
// weights of several planes are left alone.
Result<void> Layerwise(const Compute& compute, const LlamaConfig& config, Student& student,
                       ModelWeights& teacher, ModelWeights& weights, const TokenRows& rows,
                       const ModelProgress& progress);

}  // namespace signum
