#include "storage/idempotency.h"

#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

class IdempotencyTest : public ::testing::Test {
 protected:
  ManualClock clock_;
  EngineHolder engine_{kRocks};
  std::unique_ptr<IdempotencyStore> store_ = std::make_unique<IdempotencyStore>(*engine_, clock_);
  const Digest request_ = Sha256::Of(AsBytes("POST /x"));
  const Digest other_ = Sha256::Of(AsBytes("POST /y"));
  const StoredAnswer answer_{
      201, {{"Location", "/x/1"}, {"ETag", "\"a\""}}, std::string("\0\xff{}", 4)};

  Result<void> RunOnce(std::string_view key) {
    SIGNUM_ASSIGN(auto begun, store_->Begin("me", key, request_));
    return begun.run->Finish(answer_);
  }
};

TEST_F(IdempotencyTest, GivesTheFirstAnswerAgain) {
  ASSERT_THAT(RunOnce("k"), Ok());
  engine_.Close();  // the answer is durable
  store_.reset();
  engine_.Open();
  store_ = std::make_unique<IdempotencyStore>(*engine_, clock_);
  const auto again = store_->Begin("me", "k", request_);
  ASSERT_THAT(again, Ok());
  ASSERT_TRUE(again->answer);
  EXPECT_FALSE(again->run);
  EXPECT_EQ(again->answer->status, 201);
  EXPECT_EQ(again->answer->headers, answer_.headers);
  EXPECT_EQ(again->answer->body, answer_.body);
}

TEST_F(IdempotencyTest, KeysAreOfOnePrincipal) {
  ASSERT_THAT(RunOnce("k"), Ok());
  EXPECT_TRUE(store_->Begin("you", "k", request_)->run);
  EXPECT_TRUE(store_->Begin("me", "k2", other_)->run);
  // "me" + "k" and "mek" + "" are not the same.
  EXPECT_TRUE(store_->Begin("mek", "", request_)->run);
}

TEST_F(IdempotencyTest, RefusesAnotherRequestWithTheKey) {
  const auto running = store_->Begin("me", "k", request_);
  EXPECT_THAT(store_->Begin("me", "k", other_),
              FailsWith(Errc::kUnusable, "idempotency_key_reused", ""));
  ASSERT_THAT(running->run->Finish(answer_), Ok());
  EXPECT_THAT(store_->Begin("me", "k", other_),
              FailsWith(Errc::kUnusable, "idempotency_key_reused", ""));
}

TEST_F(IdempotencyTest, RunsOneAtATime) {
  auto first = store_->Begin("me", "k", request_);
  ASSERT_TRUE(first->run);
  EXPECT_THAT(store_->Begin("me", "k", request_),
              FailsWith(Errc::kConflict, "idempotency_in_flight", ""));
  first->run.reset();  // it failed without an answer
  EXPECT_TRUE(store_->Begin("me", "k", request_)->run);
}

TEST_F(IdempotencyTest, ForgetsAfterADay) {
  ASSERT_THAT(RunOnce("old"), Ok());
  clock_.Advance(std::chrono::hours(12));
  ASSERT_THAT(RunOnce("new"), Ok());
  clock_.Advance(std::chrono::hours(12));
  EXPECT_TRUE(store_->Begin("me", "old", other_)->run);
  EXPECT_EQ(*store_->Sweep(), 1);
  EXPECT_EQ(*store_->Sweep(), 0);
  EXPECT_TRUE(store_->Begin("me", "new", request_)->answer);
}

}  // namespace
}  // namespace signum
