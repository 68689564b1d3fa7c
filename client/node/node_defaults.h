#pragma once

#include <cstdint>
#include <string>

namespace signum::client {

// What a node takes where it is told nothing else.
uint64_t HalfOfMemory();  // bytes; of the host's
std::string HostName();   // made fit to be a node's name; "node" where it can't be

}  // namespace signum::client
