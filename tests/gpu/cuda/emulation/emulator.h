#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>

// Runs CUDA kernels on the CPU, for tests where there is no device: a block's threads are fibers on
// one operating-system thread that take turns at barriers and shuffles; blocks run one after
// another. It finds wrong indices (with AddressSanitizer: any access out of bounds), barriers that
// not all threads reach, shuffles that not all lanes of a warp take part in, launches beyond the
// limits and, because the order of threads between barriers can be turned round, most data races of
// a block. It says nothing of speed, of memory ordering between threads without a barrier, or of
// what nvcc makes of the source.

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3() = default;
  dim3(unsigned a, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};

inline uint3 threadIdx{};
inline uint3 blockIdx{};
inline dim3 blockDim;
inline dim3 gridDim;

namespace signum::emulation {

enum class Order { kAscending, kDescending, kShuffled };
// In which order the threads of a block (and its blocks) run from now on.
void SetOrder(Order order);

// Runs `thread` once for each thread of the grid. A broken rule prints itself and aborts. From any
// thread; grids run one after another.
void RunGrid(dim3 grid, dim3 block, const std::function<void()>& thread);

void BlockBarrier();
void WarpBarrier();
int Lane();
// Leaves a value of at most 8 bytes for the others of the warp and waits until all 32 have; then
// what lane `lane` left, until this thread's next but one.
void HandIn(const void* value, size_t bytes);
const void* HandedIn(int lane);

// Every lane hands in `value` and gets that of `lane`; all 32 must come.
void CheckFullMask(unsigned mask);
template <class T>
T Exchange(unsigned mask, T value, int lane) {
  static_assert(sizeof(T) <= 8);
  CheckFullMask(mask);
  HandIn(&value, sizeof(T));
  T out;
  std::memcpy(&out, HandedIn(lane & 31), sizeof(T));
  return out;
}

}  // namespace signum::emulation
