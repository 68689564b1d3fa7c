#pragma once

#include <cstdint>

namespace signum {

// How many descriptors a process with a limit of `limit` may give to connections: what the store
// needs for its tables, uploads and jobs is kept from them, because a store that cannot open its
// files fails requests that have nothing to do with whoever holds the connections.
constexpr uint64_t DescriptorsForConnections(uint64_t limit) {
  constexpr uint64_t kOthers = 2048;
  return limit >= 2 * kOthers ? limit - kOthers : limit / 4;
}

// Raises this process's limit of descriptors to the most that it may have; gives the limit then.
uint64_t RaiseDescriptorLimit();

}  // namespace signum
