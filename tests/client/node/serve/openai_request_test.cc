#include "client/node/serve/openai_request.h"

#include <gtest/gtest.h>

#include "client/node/serve/openai_fields.h"

#include "tests/support/result_matchers.h"

namespace signum::client {
namespace {

OpenAiRequest Parsed(const std::string& fields, bool chat = false) {
  return ParseOpenAiRequest("{\"model\":\"a/b\"," + fields + "}", chat).value();
}

TEST(OpenAiRequest, PromptsMayBeTextOrTokensOrListsOfThem) {
  EXPECT_EQ(std::get<std::string>(Parsed(R"("prompt":"Hi")").prompts.at(0)), "Hi");
  EXPECT_EQ(std::get<1>(Parsed(R"("prompt":[1,2])").prompts.at(0)), (std::vector<int32_t>{1, 2}));
  EXPECT_EQ(Parsed(R"("prompt":["a","b"])").prompts.size(), 2U);
  EXPECT_EQ(std::get<1>(Parsed(R"("prompt":[[1],[2,3]])").prompts.at(1)),
            (std::vector<int32_t>{2, 3}));
}

TEST(OpenAiRequest, HasTheApisDefaults) {
  const OpenAiRequest request = Parsed(R"("prompt":"Hi","stop":null,"logprobs":null)");
  EXPECT_EQ(request.sampling.temperature, 1);
  EXPECT_EQ(request.sampling.top_p, 1);
  EXPECT_EQ(request.sampling.top_k, 0);
  EXPECT_FALSE(request.max_tokens.has_value());
  EXPECT_FALSE(request.stream);
  EXPECT_EQ(request.logprobs, -1);
}

TEST(OpenAiRequest, ReadsWhatItIsGiven) {
  const OpenAiRequest request =
      Parsed(R"("prompt":"Hi","temperature":0.5,"top_p":0.9,"top_k":-1,"seed":-3,"stop":["a","b"],)"
             R"("max_tokens":7,"logprobs":2,"echo":true,"stream":true,)"
             R"("stream_options":{"include_usage":true},"n":1,"user":"me")");
  EXPECT_EQ(request.sampling.temperature, 0.5);
  EXPECT_EQ(request.sampling.top_k, 0);
  EXPECT_TRUE(request.seeded);
  EXPECT_EQ(request.stops, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(request.max_tokens, 7);
  EXPECT_EQ(request.logprobs, 2);
  EXPECT_TRUE(request.echo && request.stream && request.include_usage);
}

TEST(OpenAiRequest, ChatHasMessagesAndItsOwnLogprobs) {
  const OpenAiRequest request = Parsed(
      R"("messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}],)"
      R"("logprobs":true,"top_logprobs":3,"max_completion_tokens":9)",
      true);
  EXPECT_EQ(request.messages.at(0).content, "ab");
  EXPECT_EQ(request.logprobs, 3);
  EXPECT_EQ(request.max_tokens, 9);
}

TEST(OpenAiRequest, NamesTheFieldThatIsWrong) {
  EXPECT_THAT(ParseOpenAiRequest("{", false), FailsWith(Errc::kInvalid, "bad_json", ""));
  EXPECT_THAT(ParseOpenAiRequest("[]", false), FailsWith(Errc::kInvalid, "bad_json", ""));
  EXPECT_THAT(ParseOpenAiRequest("{}", false), FailsWith(Errc::kInvalid, "bad_request", "model"));
  const std::pair<const char*, const char*> wrong[] = {
      {"prompt", R"("prompt":3)"},
      {"prompt", R"("prompt":[1,-1])"},
      {"prompt", R"("prompt":[1.5])"},
      {"temperature", R"("prompt":"a","temperature":-1)"},
      {"max_tokens", R"("prompt":"a","max_tokens":1.5)"},
      {"seed", R"("prompt":"a","seed":"x")"},
      {"stop", R"("prompt":"a","stop":[1])"},
      {"n", R"("prompt":"a","n":0)"},
      {"n", R"("prompt":["a","b"],"n":33)"},
      {"best_of", R"("prompt":"a","n":2,"best_of":3)"},
      {"logit_bias", R"("prompt":"a","logit_bias":{"1":2})"},
      {"stream_options", R"("prompt":"a","stream_options":1)"}};
  for (const auto& [field, body] : wrong) {
    EXPECT_THAT(ParseOpenAiRequest(std::string("{\"model\":\"a/b\",") + body + "}", false),
                FailsWith(Errc::kInvalid, "bad_request", field));
  }
  for (const char* body : {R"("messages":[])", R"("messages":[{"role":"user"}])",
                           R"("messages":[{"role":"user","content":[{"type":"image_url"}]}])",
                           R"("messages":[{"role":"user","content":[{"type":5,"text":"a"}]}])",
                           R"("messages":[{"role":"user","content":[{"type":"text","text":1}]}])",
                           R"("messages":[7])", R"("messages":{})"}) {
    EXPECT_THAT(ParseOpenAiRequest(std::string("{\"model\":\"a/b\",") + body + "}", true),
                FailsWith(Errc::kInvalid, "bad_request", "messages"));
  }
}

std::optional<std::string> AtFault(const std::string& fields, bool chat) {
  const auto request = ParseOpenAiRequest("{\"model\":\"a/b\"," + fields + "}", chat);
  return request ? std::nullopt : FieldAtFault(request.error());
}

TEST(OpenAiRequest, RefusesWhatWouldChangeTheAnswerAndPassesWhatWouldNot) {
  const std::string hi = R"("messages":[{"role":"user","content":"a"}],)";
  for (const auto& [field, value] : std::initializer_list<std::pair<const char*, const char*>>{
           {"response_format", R"({"type":"json_object"})"},
           {"tools", "[{}]"},
           {"tool_choice", R"("required")"},
           {"function_call", R"({"name":"f"})"},
           {"modalities", R"(["text","audio"])"},
           {"reasoning_effort", R"("high")"},
           {"repetition_penalty", "1.2"},
           {"min_p", "0.1"},
           {"stop_token_ids", "[1]"},
           {"echo", "true"},
           {"prompt", R"("a")"},
           {"no_such_field", "1"}}) {
    EXPECT_EQ(AtFault(hi + '"' + field + "\":" + value, true), field);
  }
  EXPECT_EQ(AtFault(hi + R"("response_format":{"type":"text"},"tools":[],"tool_choice":"auto",)"
                         R"("modalities":["text"],"min_p":0,"user":"me","metadata":{"a":"b"},)"
                         R"("store":true,"parallel_tool_calls":false,"reasoning_effort":null)",
                    true),
            std::nullopt);
  EXPECT_EQ(AtFault(R"("prompt":"a","messages":[])", false), "messages");
}

TEST(OpenAiRequest, MessagesAreNotReadInPart) {
  const auto fault = [](const std::string& message) {
    return AtFault(R"("messages":[{"role":"user","content":"a"},)" + message + "]", true);
  };
  EXPECT_EQ(fault(R"({"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url"}]})"),
            "messages[1].content[1].type");
  EXPECT_EQ(fault(R"({"role":"user","content":[{"type":"text"}]})"), "messages[1].content[0].text");
  EXPECT_EQ(fault(R"({"role":"assistant","content":"a","tool_calls":[{"id":"x"}]})"),
            "messages[1].tool_calls");
  EXPECT_EQ(fault(R"({"role":"user","content":"a","name":5})"), "messages[1].name");
  EXPECT_EQ(fault(R"({"role":"assistant","content":"a","refusal":null,"tool_calls":[]})"),
            std::nullopt);
}

TEST(OpenAiRequest, DevelopersAreSystemsAndNamesAreKept) {
  const OpenAiRequest request = Parsed(
      R"("messages":[{"role":"developer","content":"a"},{"role":"user","content":"b","name":"c"}])",
      true);
  EXPECT_EQ(request.messages.at(0).role, "system");
  EXPECT_EQ(request.messages.at(0).name, std::nullopt);
  EXPECT_EQ(request.messages.at(1).name, "c");
}

TEST(OpenAiRequest, SurvivesNestingAndHugeNumbers) {
  const std::string deep(100'000, '[');
  EXPECT_TRUE(ParseOpenAiRequest(deep, false).has_error());
  EXPECT_TRUE(
      ParseOpenAiRequest(R"({"model":"a","prompt":"b","max_tokens":1e400})", false).has_error());
}

}  // namespace
}  // namespace signum::client
