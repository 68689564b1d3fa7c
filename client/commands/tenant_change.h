#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "storage/base/result.h"

namespace CLI {
class App;
}

namespace signum::client {

// What `signum tenant set` changes: limits of the quota and rules of the policy, as they were
// typed.
class TenantChange {
 public:
  void AddOptions(CLI::App& app);

  // {"quota": {…}, "policy": {…}} with what was named alone; null takes a limit or rule away.
  // Errc::kInvalid "bad_limit" names the flag, "nothing_to_set" where none was given.
  Result<nlohmann::json> Parse() const;

 private:
  Result<nlohmann::json> ParseQuota() const;
  Result<nlohmann::json> ParsePolicy() const;

  std::string max_bytes_, max_versions_, max_jobs_, requests_, burst_;
  std::string keep_last_, max_age_, keep_aliases_, keep_exact_;
};

}  // namespace signum::client
