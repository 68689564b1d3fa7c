#pragma once

#include <string>

namespace signum {

// Why the program ends before it began: --help (0) or wrong usage (2), with what to print.
struct UsageExit {
  int code = 0;
  std::string text;
};

}  // namespace signum
