#include "storage/accounts.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstdio>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "storage/base/name.h"
#include "storage/record.h"
#include "storage/transaction.h"

namespace signum {

template <class F, class R>
requires RecordOf<R, NodeRecord>
void Fields(F& f, R& r) {
  f("name", r.name);
  f("token_id", r.token_id);
  f("report", r.report_json);
  f("seen", r.seen);
}

namespace {

constexpr std::string_view kTokenPrefix = "g/token/";
constexpr std::string_view kNodePrefix = "g/node/";
constexpr size_t kSecretBytes = 32;
constexpr size_t kIdDigits = 16;  // of the secret's hash: public, and where its record is found

// What is stored of a token: `hash` is SHA-256 of the secret.
struct StoredToken {
  TokenRecord token;
  Digest hash;
};

template <class F, class R>
requires RecordOf<R, StoredToken>
void Fields(F& f, R& r) {
  f("id", r.token.id);
  f("role", r.token.role);
  f("tenants", r.token.tenants);
  f("note", r.token.note);
  f("created", r.token.created);
  f("expires", r.token.expires);
  f("hash", r.hash);
}

std::string Key(std::string_view prefix, std::string_view name) {
  return std::string(prefix) + std::string(name);
}
std::string PrefixEnd(std::string_view prefix) {
  std::string end(prefix);
  ++end.back();
  return end;
}

// 32 random bytes as unpadded base64url (RFC 4648 §5).
Result<std::string> NewSecret() {
  std::string random(kSecretBytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(random.data()), kSecretBytes) != 1) {
    return Fail(Errc::kInternal, "no_randomness", "the system gives no random bytes");
  }
  std::string text = Base64Encode(AsBytes(random));
  while (text.back() == '=') text.pop_back();
  for (char& c : text) {
    if (c == '+') c = '-';
    if (c == '/') c = '_';
  }
  return "sgn_" + text;
}

std::string IdOf(const Digest& hash) { return hash.Hex().substr(0, kIdDigits); }

bool SameHash(const Digest& a, const Digest& b) {
  return CRYPTO_memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0;
}

Error BadToken() { return Fail(Errc::kUnauthorized, "bad_token", "unknown or expired token"); }

Result<void> CheckTenants(Role role, const std::vector<std::string>& tenants) {
  for (const std::string& tenant : tenants) SIGNUM_TRY(CheckName("tenant", tenant));
  const bool fits = role == Role::kPublisher ? tenants.size() == 1
                    : role == Role::kNode    ? !tenants.empty()
                                             : tenants.empty();
  if (fits) return {};
  return Fail(Errc::kInvalid, "bad_tenants",
              "a publisher's token has exactly one tenant, a node's at least one, others none");
}

}  // namespace

std::string_view RoleName(Role role) {
  static constexpr std::string_view kNames[] = {"admin", "publisher", "node", "auditor"};
  return kNames[static_cast<size_t>(role)];
}

std::optional<Role> RoleFromName(std::string_view name) {
  for (const Role role : {Role::kAdmin, Role::kPublisher, Role::kNode, Role::kAuditor}) {
    if (RoleName(role) == name) return role;
  }
  return {};
}

// Tokens that were looked up. A token that is changed while it is looked up is not kept: `changes`
// tells.
class Accounts::TokenCache {
 public:
  std::optional<StoredToken> Find(const std::string& id) const {
    std::shared_lock lock(mutex_);
    const auto it = tokens_.find(id);
    return it == tokens_.end() ? std::nullopt : std::optional(it->second);
  }
  uint64_t changes() const {
    std::shared_lock lock(mutex_);
    return changes_;
  }
  void Keep(const std::string& id, const StoredToken& token, uint64_t changes_before) {
    std::unique_lock lock(mutex_);
    if (changes_ == changes_before) tokens_.insert_or_assign(id, token);
  }
  void Drop(const std::string& id) {
    std::unique_lock lock(mutex_);
    ++changes_;
    tokens_.erase(id);
  }

 private:
  mutable std::shared_mutex mutex_;
  uint64_t changes_ = 0;
  std::unordered_map<std::string, StoredToken> tokens_;
};

Accounts::Accounts(Engine& engine, const Clock& clock)
    : engine_(engine),
      clock_(clock),
      cache_(std::make_unique<TokenCache>()),
      watch_(engine.Watch(std::string(kTokenPrefix), [cache = cache_.get()](std::string_view key) {
        cache->Drop(std::string(key.substr(kTokenPrefix.size())));
      })) {}
Accounts::~Accounts() = default;

namespace {

// A new secret for `record`, whose id it fills in.
Result<std::pair<Accounts::NewToken, Digest>> Mint(TokenRecord record) {
  Accounts::NewToken created;
  SIGNUM_ASSIGN(created.secret, NewSecret());
  const Digest hash = Sha256::Of(AsBytes(created.secret));
  record.id = IdOf(hash);
  created.record = std::move(record);
  return std::pair(std::move(created), hash);
}

Error UnknownToken(std::string_view id) {
  return Fail(Errc::kNotFound, "unknown_token",
              "no token '" + std::string(id.substr(0, kIdDigits)) + "'");
}

}  // namespace

Result<Accounts::NewToken> Accounts::CreateToken(Role role, std::vector<std::string> tenants,
                                                 std::string note,
                                                 std::optional<UnixMicros> expires) {
  SIGNUM_TRY(CheckTenants(role, tenants));
  SIGNUM_ASSIGN(auto minted,
                Mint({{}, role, std::move(tenants), std::move(note), clock_.Now(), expires}));
  auto& [created, hash] = minted;
  const std::string key = Key(kTokenPrefix, created.record.id);
  Batch batch;
  batch.Require(key, std::nullopt);
  batch.Put(key, EncodeRecord(StoredToken{created.record, hash}));
  SIGNUM_TRY(engine_.Commit(batch));
  return std::move(created);
}

Result<TokenRecord> Accounts::Authenticate(std::string_view secret) const {
  const Digest hash = Sha256::Of(AsBytes(secret));
  const std::string id = IdOf(hash);
  auto token = cache_->Find(id);
  if (!token) {
    const uint64_t changes = cache_->changes();
    const std::string key = Key(kTokenPrefix, id);
    SIGNUM_ASSIGN(const auto stored, engine_.Get(key));
    if (!stored) return BadToken();
    SIGNUM_ASSIGN(token, DecodeRecord<StoredToken>(*stored, key));
    cache_->Keep(id, *token, changes);
  }
  const bool expired = token->token.expires && *token->token.expires <= clock_.Now();
  if (expired || !SameHash(token->hash, hash)) return BadToken();
  return token->token;
}

Result<std::vector<TokenRecord>> Accounts::ListTokens() const {
  SIGNUM_ASSIGN(const auto found, engine_.Scan(kTokenPrefix, PrefixEnd(kTokenPrefix), SIZE_MAX));
  std::vector<TokenRecord> tokens;
  for (const KeyValue& item : found) {
    SIGNUM_ASSIGN(StoredToken stored, DecodeRecord<StoredToken>(item.value, item.key));
    tokens.push_back(std::move(stored.token));
  }
  return tokens;
}

Result<void> Accounts::RevokeToken(std::string_view id) {
  return Transact<void>(engine_, [&](Transaction& transaction) -> Result<void> {
    const std::string key = Key(kTokenPrefix, id);
    SIGNUM_ASSIGN(const auto stored, transaction.Get(key));
    if (!stored) return UnknownToken(id);
    transaction.Delete(key);
    return {};
  });
}

Result<Accounts::NewToken> Accounts::RotateToken(std::string_view id, std::chrono::seconds grace) {
  return Transact<NewToken>(engine_, [&](Transaction& transaction) -> Result<NewToken> {
    const std::string key = Key(kTokenPrefix, id);
    SIGNUM_ASSIGN(const auto stored, transaction.Get(key));
    if (!stored) return UnknownToken(id);
    SIGNUM_ASSIGN(StoredToken old, DecodeRecord<StoredToken>(*stored, key));
    TokenRecord record = old.token;
    record.created = clock_.Now();
    SIGNUM_ASSIGN(const auto minted, Mint(std::move(record)));
    const UnixMicros end = clock_.Now() + std::chrono::microseconds(grace).count();
    old.token.expires = std::min(old.token.expires.value_or(end), end);
    if (grace.count() > 0) {
      transaction.Put(key, EncodeRecord(old));
    } else {
      transaction.Delete(key);
    }
    transaction.Put(Key(kTokenPrefix, minted.first.record.id),
                    EncodeRecord(StoredToken{minted.first.record, minted.second}));
    return minted.first;
  });
}

Result<void> Accounts::PutNode(NodeRecord node) {
  SIGNUM_TRY(CheckName("node", node.name));
  node.seen = clock_.Now();
  Batch batch;
  batch.Put(Key(kNodePrefix, node.name), EncodeRecord(node));
  return engine_.Commit(batch);
}

Result<std::optional<NodeRecord>> Accounts::FindNode(std::string_view name) const {
  const std::string key = Key(kNodePrefix, name);
  SIGNUM_ASSIGN(const auto stored, engine_.Get(key));
  if (!stored) return std::optional<NodeRecord>();
  SIGNUM_ASSIGN(NodeRecord node, DecodeRecord<NodeRecord>(*stored, key));
  return std::optional(std::move(node));
}

Result<std::vector<NodeRecord>> Accounts::ListNodes() const {
  SIGNUM_ASSIGN(const auto found, engine_.Scan(kNodePrefix, PrefixEnd(kNodePrefix), SIZE_MAX));
  std::vector<NodeRecord> nodes;
  for (const KeyValue& item : found) {
    SIGNUM_ASSIGN(NodeRecord node, DecodeRecord<NodeRecord>(item.value, item.key));
    nodes.push_back(std::move(node));
  }
  return nodes;
}

}  // namespace signum
