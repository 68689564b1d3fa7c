#include "storage/accounts.h"

#include <set>
#include <thread>

#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

using ::testing::ElementsAre;

class AccountsTest : public ::testing::TestWithParam<EngineKind> {
 protected:
  ManualClock clock_;
  EngineHolder engine_{GetParam()};
  std::unique_ptr<Accounts> accounts_ = std::make_unique<Accounts>(*engine_, clock_);

  std::string NewSecret(Role role, std::vector<std::string> tenants,
                        std::optional<UnixMicros> expires = {}) {
    const auto token = accounts_->CreateToken(role, std::move(tenants), "note", expires);
    EXPECT_THAT(token, Ok());
    return token->secret;
  }

  LogEntry Entry(std::string action) {
    LogEntry entry;
    entry.who = "token:1";
    entry.action = std::move(action);
    entry.from = "127.0.0.1";
    entry.result = "ok";
    return entry;
  }
};

TEST_P(AccountsTest, AuthenticatesWhatItCreated) {
  const std::string secret = NewSecret(Role::kNode, {"acme", "umbrella"});
  EXPECT_TRUE(secret.starts_with("sgn_"));
  EXPECT_GE(secret.size(), 4 + 43);  // 32 bytes as base64url
  for (int i = 0; i < 2; ++i) {      // from the store, then from memory
    const auto token = accounts_->Authenticate(secret);
    ASSERT_THAT(token, Ok());
    EXPECT_EQ(token->role, Role::kNode);
    EXPECT_THAT(token->tenants, ElementsAre("acme", "umbrella"));
    EXPECT_EQ(token->note, "note");
    EXPECT_EQ(token->created, clock_.Now());
  }
  std::string other = secret;
  other.back() = other.back() == 'A' ? 'B' : 'A';
  for (const std::string& wrong : {other, std::string(), std::string("sgn_"), secret + "x"}) {
    EXPECT_THAT(accounts_->Authenticate(wrong), FailsWith(Errc::kUnauthorized, "bad_token", ""));
  }
}

TEST_P(AccountsTest, RotatesATokenAtOnceOrWithGrace) {
  using std::chrono::seconds;
  const auto first =
      accounts_->CreateToken(Role::kNode, {"acme"}, "rack 7", clock_.Now() + 90'000'000);
  ASSERT_THAT(first, Ok());
  const auto second = accounts_->RotateToken(first->record.id, seconds(60));
  ASSERT_THAT(second, Ok());
  EXPECT_NE(second->record.id, first->record.id);
  EXPECT_THAT(second->record.tenants, ElementsAre("acme"));
  EXPECT_EQ(second->record.note, "rack 7");
  EXPECT_EQ(second->record.expires, first->record.expires);
  EXPECT_THAT(accounts_->Authenticate(first->secret), Ok());
  EXPECT_THAT(accounts_->Authenticate(second->secret), Ok());
  clock_.Advance(std::chrono::seconds(60));
  EXPECT_THAT(accounts_->Authenticate(first->secret),
              FailsWith(Errc::kUnauthorized, "bad_token", ""));
  const auto third = accounts_->RotateToken(second->record.id, seconds(0));
  ASSERT_THAT(third, Ok());
  EXPECT_THAT(accounts_->Authenticate(second->secret),
              FailsWith(Errc::kUnauthorized, "bad_token", ""));
  EXPECT_THAT(accounts_->Authenticate(third->secret), Ok());
  EXPECT_THAT(accounts_->RotateToken("0123", seconds(0)),
              FailsWith(Errc::kNotFound, "unknown_token", ""));
}

// Grace never lengthens a life.
TEST_P(AccountsTest, ARotatedTokenStillExpires) {
  const auto first = accounts_->CreateToken(Role::kAuditor, {}, "", clock_.Now() + 10'000'000);
  ASSERT_THAT(accounts_->RotateToken(first->record.id, std::chrono::seconds(60)), Ok());
  clock_.Advance(std::chrono::seconds(10));
  EXPECT_THAT(accounts_->Authenticate(first->secret),
              FailsWith(Errc::kUnauthorized, "bad_token", ""));
}

TEST_P(AccountsTest, StoresNoSecret) {
  const std::string secret = NewSecret(Role::kAdmin, {});
  for (const KeyValue& item : *engine_->Scan("", "\x7f", 1000)) {
    EXPECT_EQ((item.key + item.value).find(secret.substr(4)), std::string::npos);
  }
}

TEST_P(AccountsTest, ChecksTheTenantsOfARole) {
  const auto create = [&](Role role, std::vector<std::string> tenants) {
    return accounts_->CreateToken(role, std::move(tenants), "", {});
  };
  EXPECT_THAT(create(Role::kPublisher, {}), FailsWith(Errc::kInvalid, "bad_tenants", ""));
  EXPECT_THAT(create(Role::kPublisher, {"a", "b"}), FailsWith(Errc::kInvalid, "bad_tenants", ""));
  EXPECT_THAT(create(Role::kNode, {}), FailsWith(Errc::kInvalid, "bad_tenants", ""));
  EXPECT_THAT(create(Role::kAdmin, {"a"}), FailsWith(Errc::kInvalid, "bad_tenants", ""));
  EXPECT_THAT(create(Role::kAuditor, {"a"}), FailsWith(Errc::kInvalid, "bad_tenants", ""));
  EXPECT_THAT(create(Role::kNode, {"../x"}), FailsWith(Errc::kInvalid, "bad_name", "tenant"));
}

TEST_P(AccountsTest, TokensExpire) {
  const std::string secret = NewSecret(Role::kAdmin, {}, clock_.Now() + 1'000'000);
  EXPECT_THAT(accounts_->Authenticate(secret), Ok());
  clock_.Advance(std::chrono::seconds(1));
  EXPECT_THAT(accounts_->Authenticate(secret), FailsWith(Errc::kUnauthorized, "bad_token", ""));
}

TEST_P(AccountsTest, ARevokedTokenIsRefusedAtOnce) {
  const std::string secret = NewSecret(Role::kAuditor, {});
  const std::string id = accounts_->Authenticate(secret)->id;  // and is in memory
  Accounts other(*engine_, clock_);
  EXPECT_THAT(other.Authenticate(secret), Ok());
  ASSERT_THAT(accounts_->RevokeToken(id), Ok());
  EXPECT_THAT(accounts_->Authenticate(secret), FailsWith(Errc::kUnauthorized, "bad_token", ""));
  EXPECT_THAT(other.Authenticate(secret), FailsWith(Errc::kUnauthorized, "bad_token", ""));
  EXPECT_THAT(accounts_->RevokeToken(id), FailsWith(Errc::kNotFound, "unknown_token", id));
}

TEST_P(AccountsTest, ListsTokensWithoutSecrets) {
  NewSecret(Role::kAdmin, {});
  NewSecret(Role::kPublisher, {"acme"});
  std::set<Role> roles;
  for (const TokenRecord& token : *accounts_->ListTokens()) roles.insert(token.role);
  EXPECT_THAT(roles, ElementsAre(Role::kAdmin, Role::kPublisher));
}

TEST_P(AccountsTest, NamesRoles) {
  for (const Role role : {Role::kAdmin, Role::kPublisher, Role::kNode, Role::kAuditor}) {
    EXPECT_EQ(RoleFromName(RoleName(role)), role);
  }
  EXPECT_EQ(RoleFromName("root"), std::nullopt);
}

TEST_P(AccountsTest, KeepsWhatNodesSayOfThemselves) {
  ASSERT_THAT(accounts_->PutNode({"gpu-1", "t1", R"({"device":"cpu"})", 0}), Ok());
  ASSERT_THAT(accounts_->PutNode({"gpu-0", "t1", "{}", 0}), Ok());
  clock_.Advance(std::chrono::seconds(9));
  ASSERT_THAT(accounts_->PutNode({"gpu-1", "t2", "{\"a\":1}", 0}), Ok());
  const auto nodes = *accounts_->ListNodes();
  ASSERT_EQ(nodes.size(), 2);
  EXPECT_EQ(nodes[0].name, "gpu-0");
  EXPECT_EQ(nodes[1].report_json, "{\"a\":1}");
  EXPECT_EQ(nodes[1].token_id, "t2");
  EXPECT_EQ(nodes[1].seen, clock_.Now());
  EXPECT_THAT(accounts_->PutNode({"no/node", "", "", 0}),
              FailsWith(Errc::kInvalid, "bad_name", "node"));
}

TEST_P(AccountsTest, ChainsTheLog) {
  for (const char* action : {"one", "two", "three"}) {
    ASSERT_THAT(accounts_->AppendLog(Entry(action)), Ok());
  }
  const auto log = *accounts_->ReadLog(0, 10);
  ASSERT_EQ(log.size(), 3);
  EXPECT_EQ(log[0].seq, 1);
  EXPECT_EQ(log[0].previous, "");
  EXPECT_EQ(log[1].previous, log[0].hash);
  EXPECT_EQ(log[2].previous, log[1].hash);
  EXPECT_EQ(log[2].action, "three");
  EXPECT_EQ(accounts_->ReadLog(1, 1)->front().action, "two");
  EXPECT_THAT(accounts_->VerifyLog(), Ok());
}

TEST_P(AccountsTest, FindsEveryChangeOfTheLog) {
  for (const char* action : {"one", "two", "three"}) {
    ASSERT_THAT(accounts_->AppendLog(Entry(action)), Ok());
  }
  const auto entries = *engine_->Scan("g/log/entry/", "g/log/entry0", 10);
  std::string forged = entries[1].value;
  forged.replace(forged.find("two"), 3, "2wo");
  ASSERT_THAT(PutKey(*engine_, entries[1].key, forged), Ok());
  EXPECT_THAT(accounts_->VerifyLog(), FailsWith(Errc::kCorrupt, "log_broken", "2 was changed"));
  Batch remove;
  remove.Delete(entries[1].key);
  ASSERT_THAT(engine_->Commit(remove), Ok());
  EXPECT_THAT(accounts_->VerifyLog(), FailsWith(Errc::kCorrupt, "log_broken", "2 is missing"));
  ASSERT_THAT(PutKey(*engine_, entries[1].key, entries[1].value), Ok());
  Batch cut;
  cut.Delete(entries[2].key);
  ASSERT_THAT(engine_->Commit(cut), Ok());
  EXPECT_THAT(accounts_->VerifyLog(), FailsWith(Errc::kCorrupt, "log_broken", "3 is missing"));
  ASSERT_THAT(PutKey(*engine_, entries[2].key, entries[2].value), Ok());
  Batch head;
  head.Delete("g/log/head");
  ASSERT_THAT(engine_->Commit(head), Ok());
  EXPECT_THAT(accounts_->VerifyLog(), FailsWith(Errc::kCorrupt, "log_broken", "entry 0, not 3"));
}

TEST_P(AccountsTest, VerifiesALogThatGrows) {
  const std::jthread writer([this](const std::stop_token& stop) {
    while (!stop.stop_requested()) EXPECT_THAT(accounts_->AppendLog(Entry("x")), Ok());
  });
  while (accounts_->ReadLog(100, 1)->empty()) {
    ASSERT_THAT(accounts_->VerifyLog(), Ok());
  }
}

TEST_P(AccountsTest, LogsTextThatIsNotUtf8) {
  ASSERT_THAT(accounts_->AppendLog(Entry("caf\xe9 \xff")), Ok());
  EXPECT_THAT(accounts_->VerifyLog(), Ok());
}

TEST_P(AccountsTest, LogsFromManyThreadsInOneChain) {
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 10; ++i) EXPECT_THAT(accounts_->AppendLog(Entry("x")), Ok());
      });
    }
  }
  EXPECT_EQ(accounts_->ReadLog(0, 100)->size(), 60);
  EXPECT_THAT(accounts_->VerifyLog(), Ok());
}

INSTANTIATE_TEST_SUITE_P(Engines, AccountsTest, ::testing::Values(kMemory, kRocks), EngineName);

}  // namespace
}  // namespace signum
