#include "storage/transaction.h"

namespace signum {

Result<std::optional<std::string>> Transaction::Get(const std::string& key) {
  SIGNUM_ASSIGN(auto value, engine_.Get(key));
  batch_.Require(key, value);
  return value;
}

Result<void> Transaction::Commit() {
  if (batch_.mutations.empty()) return {};
  return engine_.Commit(batch_);
}

}  // namespace signum
