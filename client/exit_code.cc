#include "client/exit_code.h"

namespace signum::client {

ExitCode ExitCodeOf(Errc code) {
  switch (code) {
    case Errc::kInvalid:
      return ExitCode::kUsage;
    case Errc::kNotFound:
      return ExitCode::kNotFound;
    case Errc::kUnusable:
    case Errc::kUnauthorized:
    case Errc::kDenied:
    case Errc::kConflict:
    case Errc::kPrecondition:
    case Errc::kTooLarge:
      return ExitCode::kRefused;
    case Errc::kCorrupt:
      return ExitCode::kCorrupt;
    case Errc::kExhausted:
    case Errc::kUnavailable:
    case Errc::kCancelled:
    case Errc::kInternal:
      return ExitCode::kFailed;
  }
  return ExitCode::kFailed;
}

}  // namespace signum::client
