#include "server/freed_memory.h"

#include <malloc.h>

#include <algorithm>
#include <thread>

namespace signum {

void LimitArenas() {
  ::mallopt(M_ARENA_MAX, static_cast<int>(std::max(2u, std::thread::hardware_concurrency())));
}

void ReturnFreedMemory() { ::malloc_trim(0); }

}  // namespace signum
