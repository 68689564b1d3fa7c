#include "tests/bench/streaming_read.h"

#include <time.h>

namespace signum::bench {

__attribute__((target_clones("avx512f", "avx2", "default"), optimize("O3"))) uint64_t SumWords(
    const uint64_t* words, size_t count) {
  uint64_t sums[32] = {};
  for (size_t i = 0; i + 32 <= count; i += 32) {
    for (size_t l = 0; l < 32; ++l) sums[l] += words[i + l];
  }
  uint64_t total = 0;
  for (uint64_t sum : sums) total += sum;
  return total;
}

double ThreadSeconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

}  // namespace signum::bench
