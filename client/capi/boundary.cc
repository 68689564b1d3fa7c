#include "client/capi/boundary.h"

#include <cstdlib>
#include <string>

namespace signum::client {
namespace {

struct LastError {
  std::string message, reason;
};

LastError& Last() {
  thread_local LastError last;
  return last;
}

// The numbers are the interface's: see signum.h.
signum_status StatusOf(Errc code) {
  switch (code) {
    case Errc::kInvalid:
      return SIGNUM_INVALID;
    case Errc::kUnusable:
      return SIGNUM_UNUSABLE;
    case Errc::kUnauthorized:
      return SIGNUM_UNAUTHORIZED;
    case Errc::kDenied:
      return SIGNUM_DENIED;
    case Errc::kNotFound:
      return SIGNUM_NOT_FOUND;
    case Errc::kConflict:
    case Errc::kPrecondition:
      return SIGNUM_CONFLICT;
    case Errc::kTooLarge:
      return SIGNUM_TOO_LARGE;
    case Errc::kExhausted:
      return SIGNUM_EXHAUSTED;
    case Errc::kUnavailable:
      return SIGNUM_UNAVAILABLE;
    case Errc::kCorrupt:
      return SIGNUM_CORRUPT;
    case Errc::kCancelled:
      return SIGNUM_CANCELLED;
    case Errc::kInternal:
      break;
  }
  return SIGNUM_INTERNAL;
}

}  // namespace

signum_status Report(const Error& error) noexcept {
  try {
    LastError& last = Last();
    last.message = error.message;
    last.reason = error.reason;
  } catch (...) {  // no memory for the text: the status says enough
  }
  return StatusOf(error.code);
}

Result<void> NeedArgument(const void* argument, const char* name) {
  if (argument != nullptr) return {};
  return Fail(Errc::kInvalid, "null_argument", std::string(name) + " is NULL");
}

Result<void> CheckStructSize(size_t given, size_t least, const char* name) {
  if (given >= least) return {};
  return Fail(
      Errc::kInvalid, "bad_struct_size",
      std::string(name) + ".struct_size is " + std::to_string(given) + ", not sizeof " + name);
}

char* NewString(const std::string& text) {
  char* copy = static_cast<char*>(std::malloc(text.size() + 1));
  if (copy == nullptr) throw std::bad_alloc();
  std::memcpy(copy, text.c_str(), text.size() + 1);
  return copy;
}

}  // namespace signum::client

using signum::client::Last;

extern "C" {

uint32_t signum_abi_version(void) { return SIGNUM_ABI_VERSION; }
const char* signum_version(void) { return SIGNUM_VERSION; }
const char* signum_last_error(void) { return Last().message.c_str(); }
const char* signum_last_error_reason(void) { return Last().reason.c_str(); }
void signum_string_free(char* string) { std::free(string); }

}  // extern "C"
