#include "gpu/ops/crew.h"

#include <algorithm>

namespace signum::ops {
namespace {

constexpr int kLooks = 4000;           // about 20 µs: as long as the gaps between products
constexpr int64_t kWorthIt = 1 << 18;  // multiplications of a piece: about 10 µs
constexpr int64_t kPiecesEach = 2;     // so that a thread that is late finds less left

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Whether `ready` came true within a moment.
template <class Ready>
bool LookOut(Ready ready) {
  for (int look = 0; look < kLooks; ++look) {
    if (ready()) return true;
    Pause();
  }
  return false;
}

}  // namespace

Crew::Crew(int threads) {
  for (int i = 1; i < threads; ++i) helpers_.emplace_back([this] { Help(); });
}

Crew::~Crew() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    ++call_;
  }
  called_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
}

void Crew::Work(const std::function<void(int64_t)>& work, int64_t pieces) {
  for (int64_t piece = next_++; piece < pieces; piece = next_++) work(piece);
}

void Crew::Run(int64_t pieces, const std::function<void(int64_t)>& work) {
  const std::unique_lock caller(caller_, std::try_to_lock);
  if (helpers_.empty() || pieces < 2 || !caller) {
    for (int64_t piece = 0; piece < pieces; ++piece) work(piece);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    work_ = &work;
    pieces_ = pieces;
    next_ = 0;
    ++call_;
  }
  called_.notify_all();
  Work(work, pieces);
  std::unique_lock lock(mutex_);
  work_ = nullptr;  // who comes now is too late
  if (inside_ == 0) return;
  lock.unlock();
  if (LookOut([this] { return inside_ == 0; })) {
    lock.lock();  // what the last one wrote is seen
    return;
  }
  lock.lock();
  left_.wait(lock, [this] { return inside_ == 0; });
}

void Crew::Help() {
  uint64_t seen = 0;
  while (true) {
    LookOut([&] { return call_ != seen; });
    std::unique_lock lock(mutex_);
    called_.wait(lock, [&] { return call_ != seen; });
    if (stopping_) return;
    seen = call_;
    if (work_ == nullptr) continue;
    const auto& work = *work_;
    const int64_t pieces = pieces_;
    ++inside_;
    lock.unlock();
    Work(work, pieces);
    lock.lock();
    if (--inside_ == 0) left_.notify_one();
  }
}

void Divide(Crew* crew, int64_t n, int64_t unit, int64_t unit_cost,
            const std::function<void(int64_t, int64_t)>& use) {
  const int64_t units = (n + unit - 1) / unit;
  const int64_t most = crew == nullptr ? 1 : crew->threads() * kPiecesEach;
  const int64_t worth = units * std::max<int64_t>(unit_cost, 1) / kWorthIt;
  const int64_t pieces = std::clamp<int64_t>(std::min(worth, most), 1, std::max<int64_t>(units, 1));
  if (pieces == 1) return use(0, n);
  const int64_t each = (units + pieces - 1) / pieces * unit;
  crew->Run((n + each - 1) / each,
            [&](int64_t piece) { use(piece * each, std::min(each, n - piece * each)); });
}

}  // namespace signum::ops
