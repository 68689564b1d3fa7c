#pragma once

#include "gpu/distill/student.h"
#include "gpu/model/parallel.h"

namespace signum {

// Gives + to every weight of one plane that did not change, where sign1 gives -: the signs of the
// paper's reference implementation (bit = Δ >= 0). `fine` holds the fine-tune's weights.
Result<void> CountZerosAsPositive(const Compute& compute, Student& student,
                                  const WeightSource& fine);

}  // namespace signum
