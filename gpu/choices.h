#pragma once

#include <vector>

#include "gpu/allocate.h"
#include "gpu/prepared_tensor.h"

namespace signum {

// One way to store a tensor, for a choice by error per byte.
struct Choice {
  Codec codec = Codec::kSame;
  int planes = 1;             // of sign1, sign1-sparse and rows with signs
  bool exact_rows = false;    // rows with values
  uint64_t guessed_rank = 0;  // lowrank: what FindFactors begins with
  uint64_t highest_rank = 0;
  Cost cost;  // bytes in the file with their share of its header; squared error

  std::string Name() const;  // "sign1 x2"
};

// Every way there is, each tried out and measured: signs of 1 to kMaxPlanes planes (sparse ones
// where half of the differences are 0), lowrank where the difference looks like it, raw (rows:
// values), and `same`, which leaves the whole difference, where the base's tensor can stand for
// this one.
Result<std::vector<Choice>> MeasureChoices(const EncodeContext& context,
                                           const PreparedTensor& tensor);

Result<Encoded> EncodeChoice(const EncodeContext& context, const PreparedTensor& tensor,
                             const Choice& choice);

// What a part takes of the file, at most, its entry in the header included.
uint64_t FileBytes(const TensorInfo& part);

}  // namespace signum
