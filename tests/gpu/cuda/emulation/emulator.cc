#include "tests/gpu/cuda/emulation/emulator.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <vector>

#include "tests/support/sanitizers.h"

#if SIGNUM_ASAN
#include <sanitizer/common_interface_defs.h>
#define SIGNUM_FIBER_START(save, stack, size) __sanitizer_start_switch_fiber(save, stack, size)
#define SIGNUM_FIBER_FINISH(saved, stack, size) __sanitizer_finish_switch_fiber(saved, stack, size)
#else
#define SIGNUM_FIBER_START(save, stack, size) (void)0
#define SIGNUM_FIBER_FINISH(saved, stack, size) (void)0
#endif

namespace signum::emulation {
namespace {

constexpr size_t kStack = 256 << 10;
constexpr unsigned kWarp = 32;

enum class Wait { kNothing, kBlock, kLanes, kDone };

struct Fiber {
  ucontext_t
      start{};   // where it begins; from then on it is switched to by its jump buffer, because
  jmp_buf at{};  // swapcontext makes a system call
  bool started = false;
  void* stack = nullptr;
  void* fake_stack = nullptr;  // AddressSanitizer's
  Wait wait = Wait::kDone;
  uint3 index{};
  // What it handed in at its last two shuffles: a neighbour may still read the one before. After a
  // third, all have passed the barrier of the second and so have read the first.
  alignas(8) unsigned char slots[2][8] = {};
  unsigned shuffles = 0;
};

[[noreturn]] void Broken(const char* what) {
  std::fprintf(stderr, "emulated kernel, block %u thread %u: %s\n", blockIdx.x, threadIdx.x, what);
  std::abort();
}

// The fibers, kept from launch to launch, and the scheduler's own context.
struct Machine {
  std::vector<std::unique_ptr<Fiber>> fibers;
  ucontext_t scheduler_start{};
  jmp_buf scheduler{};
  void* scheduler_fake = nullptr;
  const void* scheduler_stack = nullptr;
  size_t scheduler_size = 0;
  const std::function<void()>* thread = nullptr;
  size_t current = 0;
  Order order = Order::kAscending;
  std::mt19937 random{1};
};
Machine machine;

Fiber& Current() { return *machine.fibers[machine.current]; }

// Back to the scheduler until it lets this fiber go on.
void Yield(Wait wait) {
  Fiber& fiber = Current();
  fiber.wait = wait;
  SIGNUM_FIBER_START(&fiber.fake_stack, machine.scheduler_stack, machine.scheduler_size);
  if (_setjmp(fiber.at) == 0) _longjmp(machine.scheduler, 1);
  // Another operating-system thread may have gone on with it.
  SIGNUM_FIBER_FINISH(fiber.fake_stack, &machine.scheduler_stack, &machine.scheduler_size);
}

// A fiber runs one thread after another for ever.
void FiberMain() {
  SIGNUM_FIBER_FINISH(nullptr, &machine.scheduler_stack, &machine.scheduler_size);
  for (;;) {
    (*machine.thread)();
    Yield(Wait::kDone);
  }
}

void Resume(size_t i) {
  Fiber& fiber = *machine.fibers[i];
  machine.current = i;
  threadIdx = fiber.index;
  fiber.wait = Wait::kNothing;
  SIGNUM_FIBER_START(&machine.scheduler_fake, fiber.stack, kStack);
  if (_setjmp(machine.scheduler) == 0) {
    if (fiber.started) _longjmp(fiber.at, 1);
    fiber.started = true;
    swapcontext(&machine.scheduler_start, &fiber.start);
  }
  SIGNUM_FIBER_FINISH(machine.scheduler_fake, nullptr, nullptr);
}

void PrepareContext(Fiber& fiber) {
  getcontext(&fiber.start);
  fiber.start.uc_stack.ss_sp = fiber.stack;
  fiber.start.uc_stack.ss_size = kStack;
  fiber.start.uc_link = nullptr;
  makecontext(&fiber.start, FiberMain, 0);
}

void MakeFibers(size_t count) {
  while (machine.fibers.size() < count) {
    auto fiber = std::make_unique<Fiber>();
    fiber->stack = mmap(nullptr, kStack, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (fiber->stack == MAP_FAILED) Broken("no memory for its stack");
    PrepareContext(*fiber);
    machine.fibers.push_back(std::move(fiber));
  }
}

void Sort(std::vector<size_t>& places) {
  std::iota(places.begin(), places.end(), size_t{0});
  if (machine.order == Order::kDescending) std::reverse(places.begin(), places.end());
  if (machine.order == Order::kShuffled) std::shuffle(places.begin(), places.end(), machine.random);
}

size_t Waiting(size_t first, size_t end, Wait wait) {
  size_t count = 0;
  for (size_t i = first; i < end; ++i) count += machine.fibers[i]->wait == wait ? 1 : 0;
  return count;
}

// Lets the fibers of [first, end) go on where all of them wait so; false where some do not.
bool Release(size_t first, size_t end, Wait wait) {
  if (Waiting(first, end, wait) != end - first) return false;
  for (size_t i = first; i < end; ++i) machine.fibers[i]->wait = Wait::kNothing;
  return true;
}

// Some fibers wait, none can run: whole warps or the whole block must be at one barrier.
void ReleaseBarriers(size_t threads) {
  bool released = Release(0, threads, Wait::kBlock);
  for (size_t first = 0; first < threads; first += kWarp) {
    const size_t end = std::min(first + kWarp, threads);
    if (end - first == kWarp && Release(first, end, Wait::kLanes)) released = true;
  }
  if (!released) Broken("a barrier or shuffle that not all threads reach");
}

void RunBlock(dim3 block, const std::function<void()>& thread) {
  const size_t threads = size_t{block.x} * block.y * block.z;
  MakeFibers(threads);
  machine.thread = &thread;
  for (size_t i = 0; i < threads; ++i) {
    Fiber& fiber = *machine.fibers[i];
    const auto at = static_cast<unsigned>(i);
    fiber.index = {at % block.x, at / block.x % block.y, at / block.x / block.y};
    fiber.wait = Wait::kNothing;
    fiber.shuffles = 0;
  }
  std::vector<size_t> order(threads);
  Sort(order);
  while (Waiting(0, threads, Wait::kDone) < threads) {
    bool ran = false;
    for (const size_t i : order) {
      if (machine.fibers[i]->wait != Wait::kNothing) continue;
      Resume(i);
      ran = true;
    }
    if (!ran) ReleaseBarriers(threads);
  }
}

}  // namespace

void SetOrder(Order order) { machine.order = order; }

void RunGrid(dim3 grid, dim3 block, const std::function<void()>& thread) {
  static std::mutex mutex;
  const std::lock_guard lock(mutex);
  gridDim = grid;
  blockDim = block;
  std::vector<size_t> order(size_t{grid.x} * grid.y * grid.z);
  Sort(order);
  for (const size_t i : order) {
    const auto at = static_cast<unsigned>(i);
    blockIdx = {at % grid.x, at / grid.x % grid.y, at / grid.x / grid.y};
    RunBlock(block, thread);
  }
}

void BlockBarrier() { Yield(Wait::kBlock); }
void WarpBarrier() { Yield(Wait::kLanes); }
int Lane() { return static_cast<int>(machine.current % kWarp); }

void HandIn(const void* value, size_t bytes) {
  Fiber& fiber = Current();
  std::memcpy(fiber.slots[++fiber.shuffles % 2], value, bytes);
  Yield(Wait::kLanes);
}
const void* HandedIn(int lane) {
  const size_t warp = machine.current / kWarp * kWarp;
  return machine.fibers[warp + static_cast<size_t>(lane)]->slots[Current().shuffles % 2];
}
void CheckFullMask(unsigned mask) {
  if (mask != 0xffffffffU) Broken("a shuffle of part of a warp");
}

}  // namespace signum::emulation
