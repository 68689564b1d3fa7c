#include <cstdio>
#include <string>

#include "gpu/cuda/loader.h"
#include "tests/gpu/ops/cases.h"

// usage: cuda_check [PART_OF_A_NAME]
// Runs the cases of tests/gpu/ops (those whose names contain the argument) on the first CUDA
// device. A plain main, because a bare GPU machine has no GoogleTest. Exit 0 where all passed, 1
// where one failed or driver and module are there and no device opens, 77 (ctest's skip) where they
// are not.

namespace {

bool Passes(signum::ops::Backend& backend, const signum::ops::Case& one) {
  signum::ops::Report report;
  one.run(backend, report);
  const std::string error = backend.TakeError();
  report.True(error.empty(), error);
  std::printf("%-40s %s\n", one.name.c_str(), report.failures().empty() ? "ok" : "FAILED");
  for (const std::string& failure : report.failures()) std::printf("   %s\n", failure.c_str());
  std::fflush(stdout);
  return report.failures().empty();
}

}  // namespace

int main(int argc, char** argv) {
  signum::cuda::LoadFailure failure;
  const auto backend = signum::cuda::LoadBackend({}, &failure);
  if (backend == nullptr) {
    std::printf("%s: %s\n", failure.present ? "FAILED" : "skipped", failure.why.c_str());
    return failure.present ? 1 : 77;
  }
  const std::string part = argc > 1 ? argv[1] : "";
  int passed = 0;
  int failed = 0;
  for (const signum::ops::Case& one : signum::ops::OpCases()) {
    if (one.name.find(part) == std::string::npos) continue;
    ++(Passes(*backend, one) ? passed : failed);
  }
  std::printf("%d passed, %d failed on %s\n", passed, failed, backend->name().c_str());
  return failed == 0 && passed > 0 ? 0 : 1;
}
