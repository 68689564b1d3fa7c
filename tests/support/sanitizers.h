#pragma once

// Whether this is built with AddressSanitizer or ThreadSanitizer: 1 or 0. g++ has a macro for each,
// clang a feature.
#if defined(__SANITIZE_ADDRESS__)
#define SIGNUM_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SIGNUM_ASAN 1
#endif
#endif
#ifndef SIGNUM_ASAN
#define SIGNUM_ASAN 0
#endif

#if defined(__SANITIZE_THREAD__)
#define SIGNUM_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SIGNUM_TSAN 1
#endif
#endif
#ifndef SIGNUM_TSAN
#define SIGNUM_TSAN 0
#endif
