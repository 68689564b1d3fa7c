#include "client/node/serve/openai_answer.h"

#include <gtest/gtest.h>

namespace signum::client {
namespace {

// A completion of one prompt, which the test plays the scheduler for.
std::shared_ptr<Completion> Completing(std::vector<int32_t> prompt) {
  CompletionRequest request;
  request.prompt = std::move(prompt);
  request.logprobs = 0;
  request.echo = true;
  return std::make_shared<Completion>(std::move(request), std::make_shared<NewsBell>(), false);
}

TokenOutput Scored(int32_t token) { return {token, "", -1.0, {}}; }

std::vector<int32_t> EchoedIds(const OpenAiAnswer& answer) {
  return answer.Whole()["choices"][0]["logprobs"]["token_ids"].get<std::vector<int32_t>>();
}

OpenAiRequest Echoing() {
  OpenAiRequest request;
  request.logprobs = 0;
  request.echo = true;
  return request;
}

TEST(OpenAiAnswer, APromptThatIsScoredInPartsIsEchoedWhole) {
  const auto completion = Completing({5, 6, 7, 8});
  OpenAiAnswer answer(Echoing(), ServedModel{}, "id", {completion});
  completion->PushPrompt(Scored(6));
  answer.Collect();  // another prompt of the request had news
  completion->PushPrompt(Scored(7));
  answer.Collect();
  completion->PushPrompt(Scored(8));
  completion->Push({9, "", -1.0, {}});
  answer.Collect();
  completion->Finish(FinishReason::kLength, "");
  answer.Collect();
  EXPECT_EQ(EchoedIds(answer), (std::vector<int32_t>{5, 6, 7, 8, 9}));
}

TEST(OpenAiAnswer, APromptWithoutTextIsEchoedOnce) {
  const auto completion = Completing({5});
  OpenAiAnswer answer(Echoing(), ServedModel{}, "id", {completion});
  completion->Finish(FinishReason::kLength, "");
  answer.Collect();
  answer.Collect();
  EXPECT_EQ(EchoedIds(answer), (std::vector<int32_t>{5}));
}

}  // namespace
}  // namespace signum::client
