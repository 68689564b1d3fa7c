#pragma once

#include "storage/base/result.h"

namespace signum::client {

// What `signum` and `signum-node` end with. Scripts rely on the numbers.
enum class ExitCode : int {
  kDone = 0,
  kFailed = 1,  // anything below does not fit: network, disk, cancelled, bug
  kUsage = 2,   // flags, names or arguments that could never be right
  kNotFound = 3,
  kRefused = 4,  // the registry said no: credentials, precondition, state, unusable input, gate
  kCorrupt = 5,  // bytes do not match their digest or signature
};

// The one place where errors become exit codes.
ExitCode ExitCodeOf(Errc code);

}  // namespace signum::client
