#include "gpu/kernels/simd.h"

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <mutex>

#if SIGNUM_HAVE_HIGHWAY
#include <hwy/targets.h>
#endif

namespace signum::kernels {
namespace {

enum State : int { kUnset, kVector, kScalar };
std::atomic<int> state{kUnset};

#if SIGNUM_HAVE_HIGHWAY
std::string Lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::atomic<int64_t> forced{0};  // the Highway target asked for, 0: the best

void Choose(int64_t targets) {
  hwy::SetSupportedTargetsForTest(targets);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  hwy::SetSupportedTargetsForTest(0);
  forced = targets;
  state = kVector;
}

bool ForceTarget(std::string_view name) {
  for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
    if (Lower(hwy::TargetName(target)) != name) continue;
    Choose(target);
    return true;
  }
  return false;
}
void ChooseBest() { Choose(0); }
#else
bool ForceTarget(std::string_view) { return false; }
void ChooseBest() { state = kScalar; }
#endif

// A name that does not exist here must not pass silently for what was asked: fall back to the
// reference, which is always right.
void ReadEnvironment() {
  const char* name = std::getenv("SIGNUM_SIMD");
  if (!SetSimd(name == nullptr ? "" : name)) state = kScalar;
}

}  // namespace

bool SetSimd(std::string_view name) {
  if (name.empty()) {
    ChooseBest();
    return true;
  }
  if (name == "scalar") {
    state = kScalar;
    return true;
  }
  return ForceTarget(name);
}

std::vector<std::string> SimdNames() {
  std::vector<std::string> names{"scalar"};
#if SIGNUM_HAVE_HIGHWAY
  for (int64_t target : hwy::SupportedAndGeneratedTargets()) {
    names.push_back(Lower(hwy::TargetName(target)));
  }
#endif
  return names;
}

std::string SimdName() {
  if (UseReference()) return "scalar";
#if SIGNUM_HAVE_HIGHWAY
  const int64_t target = forced;
  return Lower(hwy::TargetName(target != 0 ? target : hwy::SupportedAndGeneratedTargets().front()));
#else
  return "scalar";
#endif
}

bool UseReference() {
  if (state.load(std::memory_order_relaxed) == kUnset) {
    static std::once_flag once;
    std::call_once(once, [] {
      if (state == kUnset) ReadEnvironment();
    });
  }
  return state.load(std::memory_order_relaxed) == kScalar;
}

}  // namespace signum::kernels
