#include "client/node/serve/scheduler.h"

#include <gtest/gtest.h>

#include "client/local_checkpoint.h"
#include "tests/support/result_matchers.h"

// The scheduler over the small base, without HTTP.

namespace signum::client {
namespace {

class SchedulerTest : public testing::Test {
 protected:
  // `blocks` of 16 tokens.
  void Start(int64_t blocks, const SchedulerOptions& options = {}) {
    const auto base =
        LocalCheckpoint::Open(std::string(SIGNUM_TEST_DATA) + "/tiny-llama/base", {}).value();
    BaseWeights::Sources sources;
    sources.checkpoint = base->checkpoint();
    sources.config_json = base->checkpoint()->config_json();
    sources.digest = base->base_digest();
    sources.blobs = base->blobs();
    sources.file = [base](std::string_view path) -> Result<std::string> {
      for (const CheckpointFile& file : base->checkpoint()->files()) {
        if (file.path == path) return ReadAll(*file.bytes, 1 << 20);
      }
      return Fail(Errc::kNotFound, "unknown_file", "");
    };
    const auto weights = BaseWeights::Open(*backend_, sources).value();
    auto model = MakeServedModel(TenantWeights::OfBase(weights).value()).value();
    model->fingerprint = "base";
    model_ = model;
    ServeEngineOptions engine;
    engine.step_rows = 32;
    engine.blocks = blocks;
    scheduler_ = std::make_unique<Scheduler>(
        ServeEngine::Create(weights, engine, *backend_).value(), options);
  }

  std::shared_ptr<Completion> Ask(int64_t max_tokens, size_t prompt = 5,
                                  const std::function<void(CompletionRequest&)>& edit = {}) {
    CompletionRequest request;
    request.model = model_;
    for (size_t i = 0; i < prompt; ++i) request.prompt.push_back(static_cast<int32_t>(1 + i * 7));
    request.sampling.temperature = 0;
    request.max_tokens = max_tokens;
    if (edit) edit(request);
    return std::make_shared<Completion>(std::move(request), std::make_shared<NewsBell>(), false);
  }

  // Waits for the end and takes everything.
  static Completion::News End(Completion& completion) {
    while (!completion.finished()) std::this_thread::sleep_for(std::chrono::milliseconds{1});
    return completion.Take();
  }

  static std::vector<int32_t> Tokens(const Completion::News& news) {
    std::vector<int32_t> out;
    for (const TokenOutput& output : news.tokens) out.push_back(output.token);
    return out;
  }

  void WaitFor(const std::function<bool(const EngineStats&)>& holds) {
    while (!holds(scheduler_->stats())) std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }

  const std::unique_ptr<ops::Backend> backend_ = ops::MakeCpuBackend();
  std::shared_ptr<const ServedModel> model_;
  std::unique_ptr<Scheduler> scheduler_;
};

TEST_F(SchedulerTest, MoreRequestsThanBlocksTakeTurns) {
  Start(4);  // two requests of 5 + 20 tokens at a time
  const auto first = Ask(20);
  ASSERT_THAT(scheduler_->Submit(first), Ok());
  const std::vector<int32_t> expected = Tokens(End(*first));
  EXPECT_EQ(expected.size(), 20U);
  std::vector<std::shared_ptr<Completion>> all;
  for (int i = 0; i < 5; ++i) {
    all.push_back(Ask(20));
    ASSERT_THAT(scheduler_->Submit(all.back()), Ok());
  }
  for (const auto& each : all) {
    const Completion::News news = End(*each);
    EXPECT_EQ(Tokens(news), expected);
    EXPECT_EQ(news.finish, FinishReason::kLength);
  }
  WaitFor([](const auto& stats) { return stats.blocks_used == 0 && stats.running == 0; });
  EXPECT_EQ(scheduler_->stats().finished, 6U);
}

TEST_F(SchedulerTest, ShortAnswersRunAtOnceHoweverManyTokensTheyMightHaveHad) {
  Start(16);
  const auto first = Ask(12);
  ASSERT_THAT(scheduler_->Submit(first), Ok());
  const std::vector<int32_t> expected = Tokens(End(*first));
  const auto stopping = std::make_shared<ServedModel>(*model_);
  stopping->end_tokens = {expected.back()};
  const uint64_t before = scheduler_->stats().steps;
  std::vector<std::shared_ptr<Completion>> all;
  for (int i = 0; i < 6; ++i) {  // each may need 13 of the 16 blocks
    all.push_back(Ask(200, 5, [&](CompletionRequest& request) { request.model = stopping; }));
    ASSERT_THAT(scheduler_->Submit(all.back()), Ok());
  }
  for (const auto& each : all) {
    const Completion::News news = End(*each);
    EXPECT_LE(Tokens(news).size(), expected.size());
    EXPECT_EQ(news.finish, FinishReason::kStop);
  }
  WaitFor([](const auto& stats) { return stats.running == 0; });
  EXPECT_LT(scheduler_->stats().steps - before, 2 * 12U);
  EXPECT_EQ(scheduler_->stats().preempted, 0U);
}

TEST_F(SchedulerTest, WhenBlocksRunOutTheYoungestStartsOverAndNoBitChanges) {
  Start(6);
  struct Ending {
    std::vector<int32_t> tokens, prompt;
    std::vector<double> logprobs, prompt_logprobs;
    bool operator==(const Ending&) const = default;
  };
  const auto ending = [](const Completion::News& news) {
    Ending out;
    for (const TokenOutput& output : news.tokens) {
      out.tokens.push_back(output.token);
      out.logprobs.push_back(output.logprob.value_or(0));
    }
    for (const TokenOutput& output : news.prompt) {
      out.prompt.push_back(output.token);
      out.prompt_logprobs.push_back(output.logprob.value_or(0));
    }
    return out;
  };
  // Sampled, with prompts of several lengths, some of them scored: 3 to 5 blocks each in the end.
  const auto ask = [&](uint64_t i) {
    return Ask(40, 5 + 12 * i, [&](CompletionRequest& request) {
      request.sampling.temperature = 1;
      request.sampling.seed = i;
      request.logprobs = 2;
      request.echo = i % 2 == 1;
    });
  };
  std::vector<Ending> alone;
  for (uint64_t i = 0; i < 4; ++i) {
    const auto one = ask(i);
    ASSERT_THAT(scheduler_->Submit(one), Ok());
    alone.push_back(ending(End(*one)));
  }
  EXPECT_EQ(alone[1].prompt.size(), 16U);
  EXPECT_EQ(scheduler_->stats().preempted, 0U);
  std::vector<std::shared_ptr<Completion>> together;
  for (uint64_t i = 0; i < 4; ++i) {
    together.push_back(ask(i));
    ASSERT_THAT(scheduler_->Submit(together.back()), Ok());
  }
  for (uint64_t i = 0; i < 4; ++i) EXPECT_EQ(ending(End(*together[i])), alone[i]) << i;
  WaitFor([](const auto& stats) { return stats.blocks_used == 0 && stats.running == 0; });
  EXPECT_GT(scheduler_->stats().preempted, 0U);
  EXPECT_EQ(scheduler_->stats().finished, 8U);
}

TEST_F(SchedulerTest, OneThatWaitsForBlocksCanBeCancelled) {
  Start(4);
  const auto runs = Ask(58);
  ASSERT_THAT(scheduler_->Submit(runs), Ok());
  const auto waits = Ask(2, 40);
  ASSERT_THAT(scheduler_->Submit(waits), Ok());
  waits->Cancel();
  EXPECT_EQ(Tokens(End(*runs)).size(), 58U);
  EXPECT_LE(Tokens(End(*waits)).size(), 2U);
  WaitFor([](const auto& stats) { return stats.blocks_used == 0 && stats.queued == 0; });
}

TEST_F(SchedulerTest, APromptLongerThanAStepIsCutAndFoundAgain) {
  Start(40);
  const auto first = Ask(3, 100);
  ASSERT_THAT(scheduler_->Submit(first), Ok());
  const auto expected = Tokens(End(*first));
  EXPECT_GE(scheduler_->stats().steps, 4U);
  const auto again = Ask(3, 100);
  ASSERT_THAT(scheduler_->Submit(again), Ok());
  EXPECT_EQ(Tokens(End(*again)), expected);
  WaitFor([](const auto& stats) { return stats.running == 0; });
  EXPECT_EQ(scheduler_->stats().prefix_tokens, 96U);
}

TEST_F(SchedulerTest, WhatCanNeverFitIsRefusedWithTheNumbers) {
  Start(4);
  EXPECT_THAT(scheduler_->Submit(Ask(61)),
              FailsWith(Errc::kInvalid, "cache_too_small", "65 tokens; the node's cache holds 64"));
}

TEST_F(SchedulerTest, AFullQueueRefuses) {
  SchedulerOptions options;
  options.max_sequences = 1;
  options.max_queued = 1;
  Start(64, options);
  const auto runs = Ask(480);
  ASSERT_THAT(scheduler_->Submit(runs), Ok());
  WaitFor([](const auto& stats) { return stats.running == 1; });
  const auto waits = Ask(1);
  ASSERT_THAT(scheduler_->Submit(waits), Ok());
  EXPECT_THAT(scheduler_->Submit(Ask(1)), FailsWith(Errc::kUnavailable, "queue_full", "1 request"));
  runs->Cancel();
  EXPECT_EQ(Tokens(End(*waits)).size(), 1U);
}

TEST_F(SchedulerTest, ACancelledRequestGivesItsBlocksBack) {
  Start(64);
  const auto runs = Ask(480);
  ASSERT_THAT(scheduler_->Submit(runs), Ok());
  WaitFor([](const auto& stats) { return stats.blocks_used > 0; });
  runs->Cancel();
  WaitFor([](const auto& stats) { return stats.cancelled == 1 && stats.blocks_used == 0; });
  EXPECT_LT(End(*runs).generated, 480U);
}

TEST_F(SchedulerTest, StoppingEndsEverybodyAndRefusesTheNext) {
  Start(64);
  const auto runs = Ask(480);
  ASSERT_THAT(scheduler_->Submit(runs), Ok());
  scheduler_->Stop();
  const Completion::News news = End(*runs);
  EXPECT_EQ(news.finish, FinishReason::kFailed);
  ASSERT_TRUE(news.error.has_value());
  EXPECT_EQ(news.error->reason, "stopping");
  EXPECT_THAT(scheduler_->Submit(Ask(1)), FailsWith(Errc::kUnavailable, "stopping", ""));
}

}  // namespace
}  // namespace signum::client
