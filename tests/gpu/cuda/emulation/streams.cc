#include <condition_variable>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "tests/gpu/cuda/emulation/cuda_runtime.h"
#include "tests/gpu/cuda/emulation/held_event.h"

// Streams and events. What is put on a stream is done at once; but an event may be held (a test's),
// and what waits for it has not passed before that.

struct EmulatedStream {
  std::vector<std::shared_ptr<bool>> gates;  // open where true
  int waits = 0;
};
struct EmulatedEvent {
  std::vector<std::shared_ptr<bool>> gates;
};

namespace {

// Never destroyed: a thread that waits may be there at the very end.
struct World {
  std::mutex mutex;
  std::condition_variable opened;
  std::set<cudaEvent_t> events;
  std::set<cudaStream_t> streams;
  EmulatedStream legacy, per_thread;  // by number
};
World& TheWorld() {
  static World& world = *new World;
  return world;
}

bool Passed(const std::vector<std::shared_ptr<bool>>& gates) {
  return std::all_of(gates.begin(), gates.end(), [](const auto& gate) { return *gate; });
}

// Null where there is no such stream.
EmulatedStream* Find(World& world, cudaStream_t stream) {
  const auto number = reinterpret_cast<uintptr_t>(stream);
  if (number <= 1) return &world.legacy;
  if (number == 2) return &world.per_thread;
  return world.streams.contains(stream) ? stream : nullptr;
}

// Runs `call` on the world where stream and event are there.
template <class Call>
cudaError_t With(cudaStream_t stream, cudaEvent_t event, Call&& call) {
  World& world = TheWorld();
  std::unique_lock lock(world.mutex);
  EmulatedStream* found = Find(world, stream);
  if (found == nullptr || !world.events.contains(event)) return cudaErrorInvalidResourceHandle;
  call(world, lock, *found);
  return cudaSuccess;
}

}  // namespace

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  World& world = TheWorld();
  const std::lock_guard lock(world.mutex);
  *stream = new EmulatedStream;
  world.streams.insert(*stream);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  World& world = TheWorld();
  const std::lock_guard lock(world.mutex);
  if (world.streams.erase(stream) == 0) return cudaErrorInvalidResourceHandle;
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  World& world = TheWorld();
  std::unique_lock lock(world.mutex);
  const EmulatedStream* found = Find(world, stream);
  if (found == nullptr) return cudaErrorInvalidResourceHandle;
  const auto gates = found->gates;
  world.opened.wait(lock, [&] { return Passed(gates); });
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  return With(stream, event, [&](World&, auto&, EmulatedStream& waiting) {
    waiting.gates.insert(waiting.gates.end(), event->gates.begin(), event->gates.end());
    ++waiting.waits;
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
  return With(stream, event, [&](World&, auto&, EmulatedStream& on) { event->gates = on.gates; });
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return With(nullptr, event, [&](World& world, auto& lock, EmulatedStream&) {
    const auto gates = event->gates;
    world.opened.wait(lock, [&] { return Passed(gates); });
  });
}

// ---- for tests (held_event.h)

extern "C" __attribute__((visibility("default"))) void* SignumEmulatedHeldEvent() {
  cudaEvent_t event = nullptr;
  cudaEventCreateWithFlags(&event, 0);
  event->gates.push_back(std::make_shared<bool>(false));
  return event;
}

extern "C" __attribute__((visibility("default"))) void SignumEmulatedPass(void* event) {
  World& world = TheWorld();
  const std::lock_guard lock(world.mutex);
  for (const auto& gate : static_cast<cudaEvent_t>(event)->gates) *gate = true;
  world.opened.notify_all();
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
