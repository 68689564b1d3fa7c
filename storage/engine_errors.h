#pragma once

#include <cstdint>
#include <string>

#include "storage/base/result.h"

// The errors that every engine must word alike.

namespace signum {

inline Error PreconditionFailed(const std::string& key) {
  return Fail(Errc::kPrecondition, "precondition_failed", "the condition on '" + key + "' failed");
}
inline Error UnknownBlob(uint64_t id) {
  return Fail(Errc::kNotFound, "unknown_blob", "no blob " + std::to_string(id));
}

}  // namespace signum
