#pragma once

#include <optional>
#include <string>
#include <utility>

#include "storage/engine.h"

namespace signum {

// A batch that commits only if nothing it read has changed: every Get becomes a precondition.
class Transaction {
 public:
  explicit Transaction(Engine& engine) : engine_(engine) {}

  Result<std::optional<std::string>> Get(const std::string& key);
  void Put(std::string key, std::string value) { batch_.Put(std::move(key), std::move(value)); }
  void Delete(std::string key) { batch_.Delete(std::move(key)); }
  // Nothing to write commits nothing.
  Result<void> Commit();

 private:
  Engine& engine_;
  Batch batch_;
};

// How often a transaction is tried. Each failure means that another one got through, so only a bug
// uses these up.
inline constexpr int kTransactionAttempts = 1000;

// Runs `body(Transaction&)` and commits what it put together; from the start again where something
// it read was changed meanwhile. Its error, if it fails, is returned and nothing is committed.
template <class T, class Body>
Result<T> Transact(Engine& engine, Body body) {
  for (int attempt = 0; attempt < kTransactionAttempts; ++attempt) {
    Transaction transaction(engine);
    Result<T> result = body(transaction);
    if (result.has_error()) return result;
    const Result<void> committed = transaction.Commit();
    if (!committed.has_error()) return result;
    if (committed.error().reason != "precondition_failed") return committed.error();
  }
  return Fail(Errc::kUnavailable, "contended", "too many changes of the same record at once");
}

}  // namespace signum
