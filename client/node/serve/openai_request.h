#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "client/node/serve/chat_template.h"
#include "client/node/serve/completion.h"
#include "storage/base/result.h"

namespace signum::client {

// The body of POST /v1/completions or /v1/chat/completions, checked by itself: what depends on the
// model (vocabulary, context) is checked by MakePrompts.
struct OpenAiRequest {
  bool chat = false;
  std::string model;
  std::vector<std::variant<std::string, std::vector<int32_t>>> prompts;  // completions
  std::vector<ChatMessage> messages;                                     // chat
  int64_t n = 1;  // completions of each prompt
  std::optional<int64_t> max_tokens;
  SamplingOptions sampling;
  bool seeded = false;
  std::vector<std::string> stops;
  int64_t logprobs = -1;
  bool echo = false;
  bool stream = false;
  bool include_usage = false;  // a last event with the counts
};

// Errc::kInvalid: bad_json; bad_request, whose message names the field. Fields that would change
// the answer but are not built (penalties, tools …), and those that are not known, are refused
// rather than passed over.
Result<OpenAiRequest> ParseOpenAiRequest(std::string_view body, bool chat);

// n requests for each prompt, one after another, without leases. Errc::kInvalid:
// context_length_exceeded with the numbers, no_tokenizer, no_chat_template, bad_messages,
// chat_template_failed, bad_request.
Result<std::vector<CompletionRequest>> MakePrompts(const OpenAiRequest& request,
                                                   std::shared_ptr<const ServedModel> model);

}  // namespace signum::client
