#include "tests/gpu/cuda/emulation/streams.h"

#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <vector>

#include "tests/gpu/cuda/emulation/device_memory.h"
#include "tests/gpu/cuda/emulation/held_event.h"

// What an event was recorded at; a test's may be held.
struct Mark {
  bool passed = false;
};
struct Work {
  std::shared_ptr<Mark> awaited;  // it cannot run before
  std::function<void()> run;
  signum::emulation::HostRange host;
};
struct EmulatedStream {
  std::deque<Work> queue;
  int waits = 0;
};
struct EmulatedEvent {
  std::shared_ptr<Mark> mark;  // null: never recorded
};

namespace {

using signum::emulation::HostRange;

// Never destroyed: a thread that waits may be there at the very end.
struct World {
  World() : streams{&legacy, &per_thread} {
    const char* seed = std::getenv("SIGNUM_EMULATED_LAZY");
    if (seed != nullptr) Lazy(static_cast<unsigned>(std::strtoul(seed, nullptr, 10)));
  }
  void Lazy(unsigned seed) {
    lazy = seed != 0;
    random.seed(seed);
  }

  std::mutex mutex;
  std::condition_variable changed;
  std::set<cudaEvent_t> events;
  EmulatedStream legacy, per_thread;     // by number
  std::vector<EmulatedStream*> streams;  // all, with those that were destroyed before their end
  std::set<cudaStream_t> open;
  bool lazy = false;
  bool failed = false;
  std::mt19937 random;
};
World& TheWorld() {
  static World& world = *new World;
  return world;
}

bool CanRun(const EmulatedStream* stream) {
  if (stream->queue.empty()) return false;
  const Mark* awaited = stream->queue.front().awaited.get();
  return awaited == nullptr || awaited->passed;
}

// The next piece of work of one of the streams; false where none has any that can run.
bool RunOne(World& world) {
  if (world.failed) return false;
  std::vector<EmulatedStream*> ready;
  std::copy_if(world.streams.begin(), world.streams.end(), std::back_inserter(ready), CanRun);
  if (ready.empty()) return false;
  EmulatedStream* stream = ready[world.lazy ? world.random() % ready.size() : 0];
  const Work work = std::move(stream->queue.front());
  stream->queue.pop_front();
  if (work.run) {
    const signum::emulation::DeviceAccess access;
    work.run();
  }
  world.changed.notify_all();
  return true;
}

template <class Done>
void RunUntil(World& world, std::unique_lock<std::mutex>& lock, Done done) {
  while (!world.failed && !done()) {
    if (!RunOne(world)) world.changed.wait(lock);
  }
}

void RunSome(World& world) {
  size_t most = world.lazy ? (world.random() % 4 == 0 ? world.random() % 4 : 0) : SIZE_MAX;
  while (most-- > 0 && RunOne(world)) {
  }
}

// Null where there is no such stream.
EmulatedStream* Find(World& world, cudaStream_t stream) {
  const auto number = reinterpret_cast<uintptr_t>(stream);
  if (number <= 1) return &world.legacy;
  if (number == 2) return &world.per_thread;
  return world.open.contains(stream) ? stream : nullptr;
}

// Runs `call` on the world where stream and event are there.
template <class Call>
cudaError_t With(cudaStream_t stream, cudaEvent_t event, Call&& call) {
  World& world = TheWorld();
  std::unique_lock lock(world.mutex);
  EmulatedStream* found = Find(world, stream);
  if (found == nullptr || !world.events.contains(event)) return cudaErrorInvalidResourceHandle;
  if (world.failed) return cudaErrorIllegalAddress;
  call(world, lock, *found);
  return world.failed ? cudaErrorIllegalAddress : cudaSuccess;
}

void Push(World& world, EmulatedStream& stream, Work work) {
  stream.queue.push_back(std::move(work));
  RunSome(world);
  world.changed.notify_all();
}

bool Overlap(HostRange a, HostRange b) {
  const auto first = reinterpret_cast<uintptr_t>(a.begin);
  const auto second = reinterpret_cast<uintptr_t>(b.begin);
  return a.bytes > 0 && b.bytes > 0 && first < second + b.bytes && second < first + a.bytes;
}

}  // namespace

namespace signum::emulation {

void FailDevice() {
  World& world = TheWorld();
  const std::lock_guard lock(world.mutex);
  world.failed = true;
  for (EmulatedStream* stream : world.streams) stream->queue.clear();
  world.changed.notify_all();
}

bool DeviceFailed() {
  World& world = TheWorld();
  const std::lock_guard lock(world.mutex);
  return world.failed;
}

cudaError_t Enqueue(cudaStream_t stream, std::function<void()> run, HostRange host) {
  World& world = TheWorld();
  const std::lock_guard lock(world.mutex);
  EmulatedStream* found = Find(world, stream);
  if (found == nullptr) return cudaErrorInvalidResourceHandle;
  if (world.failed) return cudaErrorIllegalAddress;
  Push(world, *found, {nullptr, std::move(run), host});
  return cudaSuccess;
}

bool IsQueued(HostRange host) {
  World& world = TheWorld();
  const std::lock_guard lock(world.mutex);
  return std::any_of(world.streams.begin(), world.streams.end(), [&](const auto* stream) {
    return std::any_of(stream->queue.begin(), stream->queue.end(),
                       [&](const Work& work) { return Overlap(work.host, host); });
  });
}

}  // namespace signum::emulation

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  World& world = TheWorld();
  const std::lock_guard lock(world.mutex);
  *stream = new EmulatedStream;
  world.streams.push_back(*stream);
  world.open.insert(*stream);
  return cudaSuccess;
}

// What is on it still runs.
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  World& world = TheWorld();
  const std::lock_guard lock(world.mutex);
  if (world.open.erase(stream) == 0) return cudaErrorInvalidResourceHandle;
  for (auto at = world.streams.begin(); at != world.streams.end();) {
    const bool gone = !world.open.contains(*at) && *at != &world.legacy &&
                      *at != &world.per_thread && (*at)->queue.empty();
    if (gone) delete *at;
    at = gone ? world.streams.erase(at) : at + 1;
  }
  signum::emulation::CheckFreed();
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  World& world = TheWorld();
  std::unique_lock lock(world.mutex);
  const EmulatedStream* found = Find(world, stream);
  if (found == nullptr) return cudaErrorInvalidResourceHandle;
  if (world.failed) return cudaErrorIllegalAddress;
  const auto last = std::make_shared<Mark>();
  if (found->queue.empty()) return cudaSuccess;
  // What others put there meanwhile is not waited for.
  Find(world, stream)->queue.push_back({nullptr, [last] { last->passed = true; }, {}});
  RunUntil(world, lock, [&] { return last->passed; });
  return world.failed ? cudaErrorIllegalAddress : cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return With(stream, event, [&](World& world, auto&, EmulatedStream& waiting) {
    ++waiting.waits;
    if (event->mark != nullptr) Push(world, waiting, {event->mark, nullptr, {}});
  });
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  World& world = TheWorld();
  const std::lock_guard lock(world.mutex);
  *event = new EmulatedEvent;
  world.events.insert(*event);
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  World& world = TheWorld();
  const std::lock_guard lock(world.mutex);
  if (world.events.erase(event) == 0) return cudaErrorInvalidResourceHandle;
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  return With(stream, event, [&](World& world, auto&, EmulatedStream& on) {
    event->mark = std::make_shared<Mark>();
    Push(world, on, {nullptr, [mark = event->mark] { mark->passed = true; }, {}});
  });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return With(nullptr, event, [&](World& world, auto& lock, EmulatedStream&) {
    const auto mark = event->mark;
    RunUntil(world, lock, [&] { return mark == nullptr || mark->passed; });
  });
}

// ---- for tests (held_event.h)

extern "C" __attribute__((visibility("default"))) void* SignumEmulatedHeldEvent() {
  cudaEvent_t event = nullptr;
  cudaEventCreateWithFlags(&event, 0);
  event->mark = std::make_shared<Mark>();
  return event;
}

extern "C" __attribute__((visibility("default"))) void SignumEmulatedPass(void* event) {
  World& world = TheWorld();
  const std::lock_guard lock(world.mutex);
  static_cast<cudaEvent_t>(event)->mark->passed = true;
  RunSome(world);
  world.changed.notify_all();
}

extern "C" __attribute__((visibility("default"))) void* SignumEmulatedStream() {
  cudaStream_t stream = nullptr;
  cudaStreamCreateWithFlags(&stream, 0);
  return stream;
}

extern "C" __attribute__((visibility("default"))) int SignumEmulatedWaits(void* stream) {
  World& world = TheWorld();
  const std::lock_guard lock(world.mutex);
  const EmulatedStream* found = Find(world, static_cast<cudaStream_t>(stream));
  return found == nullptr ? -1 : found->waits;
}

extern "C" __attribute__((visibility("default"))) void SignumEmulatedLazy(unsigned seed) {
  World& world = TheWorld();
  const std::lock_guard lock(world.mutex);
  world.Lazy(seed);
  RunSome(world);
}
