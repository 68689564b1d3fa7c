#pragma once

#include <cstddef>
#include <cstdint>

namespace signum::bench {

// The reference that figures stand beside: sums 64-bit words in independent accumulators, with the
// widest vectors at hand, so that memory is what it waits for.
uint64_t SumWords(const uint64_t* words, size_t count);

// Seconds of this thread on its core: other processes take none of it.
double ThreadSeconds();

// The same of a piece of work.
double SecondsOf(auto work) {
  const double start = ThreadSeconds();
  work();
  return ThreadSeconds() - start;
}

}  // namespace signum::bench
