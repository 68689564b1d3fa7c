#pragma once

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <string>

#include "client/capi/signum.h"
#include "storage/base/result.h"

// What every function of the C interface goes through: nothing is thrown past it, and failures
// become a status and the thread's last error.

namespace signum::client {

// Notes the error for signum_last_error of this thread.
signum_status Report(const Error& error) noexcept;

// Runs `call`, which returns Result<void>.
template <class Call>
signum_status AtBoundary(Call&& call) noexcept {
  try {
    const Result<void> done = call();
    return done ? SIGNUM_OK : Report(done.error());
  } catch (const std::bad_alloc&) {
    return Report({Errc::kExhausted, "out_of_memory", "out of memory"});
  } catch (const std::exception& error) {
    return Report({Errc::kInternal, "internal", error.what()});
  } catch (...) {
    return Report({Errc::kInternal, "internal", "an exception of unknown kind"});
  }
}

// Errc::kInvalid "null_argument" names what is NULL.
Result<void> NeedArgument(const void* argument, const char* name);
// Errc::kInvalid "bad_struct_size": the caller's struct ends before `least`, which is its size in
// the first version of the interface: fields added later are no reason to refuse an older caller.
Result<void> CheckStructSize(size_t given, size_t least, const char* name);

// A caller's struct of `given` bytes as ours: what it does not know is zero.
template <class Struct>
Struct ReadStruct(const Struct& theirs) {
  Struct out{};
  std::memcpy(static_cast<void*>(&out), &theirs, std::min(theirs.struct_size, sizeof(Struct)));
  return out;
}

// Fills what the caller's struct has room for; struct_size stays the caller's.
template <class Struct>
void WriteStruct(const Struct& ours, Struct* theirs) {
  const size_t size = theirs->struct_size;
  std::memcpy(static_cast<void*>(theirs), &ours, std::min(size, sizeof(Struct)));
  theirs->struct_size = size;
}

inline std::string TextOr(const char* text, const char* fallback) {
  return text != nullptr ? text : fallback;
}

// A copy that signum_string_free takes.
char* NewString(const std::string& text);

}  // namespace signum::client
