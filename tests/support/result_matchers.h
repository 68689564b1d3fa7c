#pragma once

#include <gmock/gmock.h>

#include "storage/base/result.h"

namespace signum {

// Boost prints a result by printing its value, which ours can't; GoogleTest takes this instead.
template <class T>
void PrintTo(const Result<T>& result, std::ostream* out) {
  *out << (result.has_value() ? "a value" : "an error");
}

// EXPECT_THAT(F(), Ok()): shows the error where there is one.
MATCHER(Ok, "is a value") {
  if (arg.has_value()) return true;
  *result_listener << "which is " << arg.error().reason << ": " << arg.error().message;
  return false;
}

// EXPECT_THAT(F(), FailsWith(Errc::kCorrupt, "bad_part", "model.norm")): the message holds the
// text.
MATCHER_P3(FailsWith, code, reason, text,
           "fails with " + std::string(reason) + " and a message with '" + std::string(text) +
               "'") {
  if (arg.has_value()) {
    *result_listener << "which is a value";
    return false;
  }
  *result_listener << "which is " << arg.error().reason << ": " << arg.error().message;
  return arg.error().code == code && arg.error().reason == reason &&
         arg.error().message.find(text) != std::string::npos;
}

}  // namespace signum
