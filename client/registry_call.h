#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "client/registry.h"

// What the parts of Registry share: registry.cc, registry_nodes.cc, registry_jobs.cc,
// registry_admin.cc.

namespace signum::client {

struct Registry::Call {
  std::string method = "GET";
  std::string path;
  std::string body{};
  std::vector<std::pair<std::string, std::string>> headers{};
  std::chrono::seconds timeout{120};
  bool patient = false;
  bool conditional = false;  // 304 is a success
  uint64_t max_body = HttpRequest().max_body;
};

}  // namespace signum::client
