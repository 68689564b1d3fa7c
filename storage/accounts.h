#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/clock.h"
#include "storage/engine.h"
#include "storage/format/log_chain.h"

namespace signum {

enum class Role : uint8_t { kAdmin = 0, kPublisher = 1, kNode = 2, kAuditor = 3 };
std::string_view RoleName(Role role);
std::optional<Role> RoleFromName(std::string_view name);

// A token's record. The secret itself is never stored: `id` is public, the key is the SHA-256 of
// the secret.
struct TokenRecord {
  std::string id;
  Role role = Role::kNode;
  std::vector<std::string> tenants;  // publisher: exactly one; node: those it may read; else empty
  std::string note;
  UnixMicros created = 0;
  std::optional<UnixMicros> expires;
};

// What a node last said of itself.
struct NodeRecord {
  std::string name;
  std::string token_id;
  std::string report_json;  // as sent, validated by the API
  UnixMicros seen = 0;
};

// Tokens, node reports and the audit log. Thread-safe.
class Accounts {
 public:
  Accounts(Engine& engine, const Clock& clock);
  ~Accounts();

  struct NewToken {
    TokenRecord record;
    std::string secret;  // "sgn_…": shown once
  };
  Result<NewToken> CreateToken(Role role, std::vector<std::string> tenants, std::string note,
                               std::optional<UnixMicros> expires);
  // kUnauthorized "bad_token" for unknown and expired ones alike. In-memory after the first
  // look-up.
  Result<TokenRecord> Authenticate(std::string_view secret) const;
  Result<std::vector<TokenRecord>> ListTokens() const;
  Result<void> RevokeToken(std::string_view id);  // kNotFound "unknown_token"
  // A new secret (and id) with the rights, note and expiry of the old one, which is void after
  // `grace`. kNotFound "unknown_token".
  Result<NewToken> RotateToken(std::string_view id, std::chrono::seconds grace);

  Result<void> PutNode(NodeRecord node);
  Result<std::optional<NodeRecord>> FindNode(std::string_view name) const;
  Result<std::vector<NodeRecord>> ListNodes() const;

  Result<void> AppendLog(LogEntry entry);  // fills seq, at, previous, hash
  // Entries after `after`, oldest first.
  Result<std::vector<LogEntry>> ReadLog(uint64_t after, size_t limit) const;
  // Recomputes the whole chain: kCorrupt "log_broken" names the first entry that does not fit.
  Result<void> VerifyLog() const;

 private:
  class TokenCache;  // accounts.cc

  Engine& engine_;
  const Clock& clock_;
  std::unique_ptr<TokenCache> cache_;
  std::shared_ptr<void> watch_;  // empties the cache of what changes; after the cache
};

}  // namespace signum
