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

TEST(OpenAiAnswer, APromptCountsOnceHoweverManyAnswersItHas) {
  OpenAiRequest request;
  request.n = 2;
  std::vector<std::shared_ptr<Completion>> completions;
  for (const std::vector<int32_t>& prompt : {std::vector<int32_t>{1, 2, 3}, {4}}) {
    for (int i = 0; i < 2; ++i) completions.push_back(Completing(prompt));
  }
  OpenAiAnswer answer(request, ServedModel{}, "id", completions);
  for (const auto& completion : completions) completion->Finish(FinishReason::kLength, "");
  answer.Collect();
  const auto document = answer.Whole();
  EXPECT_EQ(document["choices"].size(), 4U);
  EXPECT_EQ(document["usage"]["prompt_tokens"], 4);
}

TEST(OpenAiAnswer, AnErrorNamesItsField) {
  EXPECT_EQ(
      OpenAiErrorBody(Fail(Errc::kInvalid, "bad_request", "'n' is wrong"), 400)["error"]["param"],
      "n");
  EXPECT_TRUE(
      OpenAiErrorBody(Fail(Errc::kInvalid, "bad_json", "'n' "), 400)["error"]["param"].is_null());
}

}  // namespace
}  // namespace signum::client
