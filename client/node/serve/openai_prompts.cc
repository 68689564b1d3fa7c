#include <random>

#include "client/node/serve/openai_fields.h"
#include "client/node/serve/openai_request.h"

// A request's prompts, with the model that is to answer.

namespace signum::client {
namespace {

Error TooLong(int64_t prompt, std::optional<int64_t> max_tokens, int64_t context) {
  const std::string wanted =
      max_tokens ? " and " + std::to_string(*max_tokens) + " for the completion" : "";
  return Fail(Errc::kInvalid, "context_length_exceeded",
              "this model's context is " + std::to_string(context) +
                  " tokens, but the request needs " +
                  std::to_string(prompt + max_tokens.value_or(1)) + ": " + std::to_string(prompt) +
                  " in the prompt" + wanted);
}

// Before any text is read: reading megabytes that can't fit would take seconds. Texts whose tokens
// are longer than this on the average are not reckoned with.
Result<void> CheckBytes(size_t bytes, const ServedModel& model) {
  constexpr size_t kMaxTokenBytes = 128;
  if (bytes / kMaxTokenBytes < static_cast<size_t>(model.context())) return {};
  return Fail(Errc::kInvalid, "context_length_exceeded",
              "this model's context is " + std::to_string(model.context()) +
                  " tokens; a prompt of " + std::to_string(bytes) + " bytes can't fit");
}

// Of a completion: what was asked for, or what is usual and fits.
Result<int64_t> LengthOf(const OpenAiRequest& from, size_t prompt, const ServedModel& model) {
  const int64_t context = model.context();
  const int64_t room = context - static_cast<int64_t>(prompt);
  if (room < from.max_tokens.value_or(1)) {
    return TooLong(static_cast<int64_t>(prompt), from.max_tokens, context);
  }
  const int64_t usual = from.chat ? room : std::min<int64_t>(16, room);
  return from.max_tokens.value_or(usual);
}

Result<void> CheckTokens(const std::vector<int32_t>& tokens, const ServedModel& model) {
  if (tokens.empty()) return BadField("prompt", "is empty");
  for (const int32_t token : tokens) {
    if (token < model.weights->vocabulary()) continue;
    return BadField("prompt", "has token " + std::to_string(token) + "; the vocabulary is of " +
                                  std::to_string(model.weights->vocabulary()));
  }
  return {};
}

Result<std::vector<int32_t>> EncodePrompt(const std::string& text, const ServedModel& model) {
  if (model.tokenizer == nullptr) {
    return Fail(Errc::kInvalid, "no_tokenizer",
                "this node can't read text for the model, so give token ids: " + model.no_text);
  }
  SIGNUM_TRY(CheckBytes(text.size(), model));
  std::vector<int32_t> ids;
  if (model.add_bos && model.tokenizer->bos() >= 0) ids.push_back(model.tokenizer->bos());
  const std::vector<int32_t> encoded =
      EncodeRendered(*model.tokenizer, jinja::Text(text), model.blank_after_controls);
  ids.insert(ids.end(), encoded.begin(), encoded.end());
  return ids;
}

Result<std::vector<std::vector<int32_t>>> TokenPrompts(const OpenAiRequest& from,
                                                       const ServedModel& model) {
  std::vector<std::vector<int32_t>> out;
  if (from.chat) {
    if (model.tokenizer == nullptr) return EncodePrompt("", model).error();
    size_t bytes = 0;
    for (const ChatMessage& message : from.messages) bytes += message.content.size();
    SIGNUM_TRY(CheckBytes(bytes, model));
    SIGNUM_ASSIGN(auto ids, model.chat.Apply(*model.tokenizer, from.messages, LocalNow()));
    out.push_back(std::move(ids));
  }
  for (const auto& prompt : from.prompts) {
    if (const auto* ids = std::get_if<std::vector<int32_t>>(&prompt)) {
      out.push_back(*ids);
      continue;
    }
    SIGNUM_ASSIGN(auto ids, EncodePrompt(std::get<std::string>(prompt), model));
    out.push_back(std::move(ids));
  }
  return out;
}

CompletionRequest OneOf(const OpenAiRequest& from, std::shared_ptr<const ServedModel> model,
                        std::vector<int32_t> prompt, size_t index) {
  CompletionRequest out;
  out.drop_first_blank =
      from.chat && model->tokenizer != nullptr && model->tokenizer->blank_first();
  out.model = std::move(model);
  out.prompt = std::move(prompt);
  out.sampling = from.sampling;
  out.sampling.seed = from.seeded ? from.sampling.seed + index : std::random_device{}();
  out.logprobs = from.logprobs;
  out.echo = from.echo;
  out.stops = from.stops;
  return out;
}

}  // namespace

Result<std::vector<CompletionRequest>> MakePrompts(const OpenAiRequest& from,
                                                   std::shared_ptr<const ServedModel> model) {
  SIGNUM_ASSIGN(const auto prompts, TokenPrompts(from, *model));
  std::vector<CompletionRequest> out;
  for (const std::vector<int32_t>& prompt : prompts) {
    SIGNUM_TRY(CheckTokens(prompt, *model));
    SIGNUM_ASSIGN(const int64_t length, LengthOf(from, prompt.size(), *model));
    for (int64_t i = 0; i < from.n; ++i) {
      out.push_back(OneOf(from, model, prompt, out.size()));
      out.back().max_tokens = length;
    }
  }
  return out;
}

}  // namespace signum::client
