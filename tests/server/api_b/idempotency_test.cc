#include <gtest/gtest.h>

#include "tests/server/api_b/support.h"
#include "tests/server/fixture.h"

namespace signum::test {
namespace {

const std::string kAlias = "/v1/tenants/acme/models/chat/aliases/candidate";

class Idempotency : public testing::Test {
 protected:
  Idempotency() {
    ReadyVersion(service_.app(), "acme", "chat");
    ReadyVersion(service_.app(), "acme", "chat");
  }
  Reply Set(uint64_t version, const std::string& key) {
    return publisher_.Put(kAlias, {{"version", version}}, {{"Idempotency-Key", key}});
  }

  Service service_{NoWorker()};
  Client publisher_ = service_.As(Role::kPublisher, {"acme"});
};

TEST_F(Idempotency, ARepeatedRequestGetsTheFirstAnswerAndRunsOnce) {
  const Reply first = Set(1, "k1");
  ASSERT_EQ(first.status, 201);
  ASSERT_EQ(publisher_.Put(kAlias, {{"version", 2}}).status, 200);
  const Reply again = Set(1, "k1");
  EXPECT_EQ(again.status, 201);
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(again.Header("etag"), first.Header("etag"));
  EXPECT_EQ(again.Header("idempotency-replayed"), "true");
  EXPECT_EQ(publisher_.Get(kAlias).Json()["version"], 2) << "the repetition moved the alias back";
}

TEST_F(Idempotency, AKeyIsForOneRequest) {
  ASSERT_EQ(Set(1, "k1").status, 201);
  const Reply other = Set(2, "k1");
  EXPECT_EQ(other.status, 422);
  EXPECT_EQ(other.Code(), "idempotency_key_reused");
}

TEST_F(Idempotency, CallersDoNotShareKeys) {
  ASSERT_EQ(Set(1, "k1").status, 201);
  const Reply other = service_.admin().Put(kAlias, {{"version", 2}}, {{"Idempotency-Key", "k1"}});
  EXPECT_EQ(other.status, 200);
  EXPECT_EQ(publisher_.Get(kAlias).Json()["version"], 2);
}

TEST_F(Idempotency, AnswersOutliveARestart) {
  const Reply first = Set(1, "k1");
  service_.Restart();
  const Client same(service_.port(), publisher_.token());
  const Reply again = same.Put(kAlias, {{"version", 1}}, {{"Idempotency-Key", "k1"}});
  EXPECT_EQ(again.Header("idempotency-replayed"), "true");
  EXPECT_EQ(again.body, first.body);
}

TEST_F(Idempotency, KeysAreChecked) {
  EXPECT_EQ(Set(1, std::string(256, 'k')).Code(), "bad_idempotency_key");
  EXPECT_EQ(Set(1, "two words").Code(), "bad_idempotency_key");
  EXPECT_EQ(Set(1, "").Code(), "bad_idempotency_key") << "not as if there were none";
}

}  // namespace
}  // namespace signum::test
