#include "client/node/node_defaults.h"

#include <unistd.h>

#include <algorithm>
#include <cctype>

#include "storage/base/name.h"

namespace signum::client {

uint64_t HalfOfMemory() {
  return static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(::sysconf(_SC_PAGESIZE)) / 2;
}

std::string HostName() {
  char text[64] = {};
  ::gethostname(text, sizeof(text) - 1);
  std::string name(text);
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return CheckName("node", name) ? name : "node";
}

}  // namespace signum::client
