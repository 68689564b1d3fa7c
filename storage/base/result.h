#pragma once

#include <boost/assert/source_location.hpp>
#include <boost/system/result.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace signum {

// What kind of failure an Error is. One function in server/ maps these to HTTP statuses and one in
// client/ maps them to exit codes, so a library never speaks of either.
enum class Errc {
  kInvalid,       // malformed input: it could never be right (400)
  kUnusable,      // well formed but not usable: names the tensor, field or file (422)
  kUnauthorized,  // no or bad credentials (401)
  kDenied,        // known caller, not theirs (403)
  kNotFound,      // (404)
  kConflict,      // the present state forbids it (409)
  kPrecondition,  // a stated precondition does not hold (412)
  kTooLarge,      // over a limit (413)
  kExhausted,     // disk or quota full (507)
  kUnavailable,   // try again later (503)
  kCorrupt,       // bytes do not match their checksum
  kCancelled,     // the caller asked to stop
  kInternal,      // everything else: a bug or a failing machine (500)
};

// A failure a caller can act on. `reason` is a stable snake_case name that crosses the API as the
// problem document's `code` ("digest_mismatch"); `message` is one line for people that names the
// file, tensor, field or header at fault.
struct Error {
  Errc code = Errc::kInternal;
  std::string reason;
  std::string message;
};

template <class T>
using Result = boost::system::result<T, Error>;

// Shorthand: `return Fail(Errc::kNotFound, "unknown_base", "no base named 'x'");`
[[nodiscard]] inline Error Fail(Errc code, std::string_view reason, std::string message) {
  return Error{code, std::string(reason), std::move(message)};
}

// Required by boost::system::result: value() on an error is a bug in the caller.
[[noreturn]] void throw_exception_from_error(const Error& error,
                                             const boost::source_location& where);

// Returns the error of `expr` from the enclosing function.
#define SIGNUM_TRY(expr)                                      \
  do {                                                        \
    if (auto signum_try_ = (expr); signum_try_.has_error()) { \
      return std::move(signum_try_).error();                  \
    }                                                         \
  } while (false)

#define SIGNUM_CONCAT_(a, b) a##b
#define SIGNUM_CONCAT(a, b) SIGNUM_CONCAT_(a, b)
// SIGNUM_ASSIGN(auto x, F()): declares x from F()'s value or returns its error.
#define SIGNUM_ASSIGN(decl, expr) SIGNUM_ASSIGN_(SIGNUM_CONCAT(signum_r_, __LINE__), decl, expr)
#define SIGNUM_ASSIGN_(tmp, decl, expr)               \
  auto tmp = (expr);                                  \
  if (tmp.has_error()) return std::move(tmp).error(); \
  decl = *std::move(tmp)

}  // namespace signum
