#include "server/freed_memory.h"

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <thread>
#include <vector>

#include "tests/support/sanitizers.h"

namespace signum {
namespace {

constexpr size_t kPiece = 1000;
constexpr size_t kPieces = 64 * 1000;  // 64 MB

uint64_t ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t size = 0, resident = 0;
  statm >> size >> resident;
  return resident * 4096;
}

// Frees all but the last piece, which keeps the allocator from shrinking its arena by itself.
std::unique_ptr<char[]> FreeAllButTheLast() {
  std::vector<std::unique_ptr<char[]>> pieces;
  for (size_t i = 0; i < kPieces; ++i) pieces.push_back(std::make_unique<char[]>(kPiece));
  return std::move(pieces.back());
}

TEST(FreedMemoryTest, GoesBackToTheSystem) {
#if SIGNUM_ASAN || SIGNUM_TSAN
  GTEST_SKIP() << "a sanitizer's allocator is another";
#endif
  LimitArenas();
  std::unique_ptr<char[]> last;
  std::thread([&] { last = FreeAllButTheLast(); }).join();
  const uint64_t held = ResidentBytes();
  ReturnFreedMemory();
  EXPECT_LT(ResidentBytes() + kPieces * kPiece / 2, held);
}

}  // namespace
}  // namespace signum
