#include "client/node/serve/openai_request.h"

#include <nlohmann/json.hpp>

#include "client/node/serve/chat_messages.h"
#include "client/node/serve/openai_fields.h"

namespace signum::client {
namespace {

using nlohmann::json;

constexpr size_t kMaxPrompts = 64;  // and completions of them
constexpr size_t kMaxStops = 16;
constexpr int64_t kMaxLogprobs = 20;

Result<std::vector<int32_t>> TokensOf(const json& list) {
  std::vector<int32_t> out;
  for (const json& token : list) {
    if (!token.is_number_integer() || token < 0 || token > INT32_MAX) {
      return BadField("prompt", "must be text, token ids, or a list of either");
    }
    out.push_back(token.get<int32_t>());
  }
  return out;
}

Result<void> ReadPrompt(const Fields& fields, OpenAiRequest& out) {
  const json* prompt = fields.Find("prompt");
  if (prompt == nullptr) return BadField("prompt", "is missing");
  const bool several = prompt->is_array() && !prompt->empty() && !(*prompt)[0].is_number();
  const json one = json::array({*prompt});
  const json& list = several ? *prompt : one;
  if (list.size() > kMaxPrompts) {
    return BadField("prompt", "has " + std::to_string(list.size()) + " prompts; at most " +
                                  std::to_string(kMaxPrompts) + " go in one request");
  }
  for (const json& each : list) {
    if (each.is_string()) {
      out.prompts.emplace_back(each.get<std::string>());
      continue;
    }
    if (!each.is_array()) return BadField("prompt", "must be text, token ids, or a list of either");
    SIGNUM_ASSIGN(auto tokens, TokensOf(each));
    out.prompts.emplace_back(std::move(tokens));
  }
  return {};
}

// Each prompt's completions; best_of makes a choice where it is more.
Result<void> ReadCount(const Fields& fields, OpenAiRequest& out) {
  SIGNUM_ASSIGN(const auto n, fields.Integer("n", 1, kMaxPrompts));
  SIGNUM_ASSIGN(const auto best_of, fields.Integer("best_of", 1, kMaxPrompts));
  out.n = n.value_or(1);
  if (best_of.value_or(out.n) != out.n) return BadField("best_of", "must be as 'n', or absent");
  const size_t prompts = std::max<size_t>(1, out.prompts.size());
  if (prompts * out.n <= kMaxPrompts) return {};
  return BadField("n", "is " + std::to_string(out.n) + " for " + std::to_string(prompts) +
                           " prompts; at most " + std::to_string(kMaxPrompts) +
                           " completions go in one request");
}

Result<void> ReadStops(const Fields& fields, OpenAiRequest& out) {
  const json* stop = fields.Find("stop");
  if (stop == nullptr) return {};
  const json one = json::array({*stop});
  const json& list = stop->is_array() ? *stop : one;
  for (const json& each : list) {
    if (!each.is_string() || list.size() > kMaxStops) {
      return BadField("stop", "must be text or a list of at most 16 texts");
    }
    out.stops.push_back(each.get<std::string>());
  }
  return {};
}

Result<void> ReadLength(const Fields& fields, OpenAiRequest& out) {
  const int64_t least = out.chat ? 1 : 0;
  SIGNUM_ASSIGN(out.max_tokens, fields.Integer("max_tokens", least, INT32_MAX));
  if (!out.chat) return {};
  SIGNUM_ASSIGN(const auto newer, fields.Integer("max_completion_tokens", least, INT32_MAX));
  if (newer) out.max_tokens = newer;
  return {};
}

// Completions give a count, chat a flag and a count beside it.
Result<void> ReadLogprobs(const Fields& fields, OpenAiRequest& out) {
  if (!out.chat) {
    SIGNUM_ASSIGN(const auto count, fields.Integer("logprobs", 0, kMaxLogprobs));
    out.logprobs = count.value_or(-1);
    return {};
  }
  bool wanted = false;
  SIGNUM_TRY(fields.Flag("logprobs", wanted));
  SIGNUM_ASSIGN(const auto count, fields.Integer("top_logprobs", 0, kMaxLogprobs));
  if (count && !wanted) return BadField("top_logprobs", "needs 'logprobs': true");
  out.logprobs = wanted ? count.value_or(0) : -1;
  return {};
}

Result<void> ReadSampling(const Fields& fields, OpenAiRequest& out) {
  SamplingOptions& sampling = out.sampling;
  SIGNUM_TRY(fields.Number("temperature", 0, 100, sampling.temperature));
  SIGNUM_TRY(fields.Number("top_p", 0, 1, sampling.top_p));
  SIGNUM_ASSIGN(const auto top_k, fields.Integer("top_k", -1, INT32_MAX));
  sampling.top_k = std::max<int64_t>(0, top_k.value_or(0));
  SIGNUM_ASSIGN(const auto seed, fields.Integer("seed", INT64_MIN, INT64_MAX));
  out.seeded = seed.has_value();
  sampling.seed = static_cast<uint64_t>(seed.value_or(0));
  return {};
}

Result<void> ReadStream(const Fields& fields, OpenAiRequest& out) {
  SIGNUM_TRY(fields.Flag("stream", out.stream));
  const json* options = fields.Find("stream_options");
  if (options == nullptr) return {};
  if (!options->is_object()) return BadField("stream_options", "must be an object");
  return Fields(*options).Flag("include_usage", out.include_usage);
}

}  // namespace

Result<OpenAiRequest> ParseOpenAiRequest(std::string_view body, bool chat) {
  const json parsed = json::parse(body, nullptr, false);
  if (!parsed.is_object()) {
    return Fail(Errc::kInvalid, "bad_json", "the request's body is not a JSON object");
  }
  const Fields fields(parsed);
  OpenAiRequest out;
  out.chat = chat;
  const json* model = fields.Find("model");
  if (model == nullptr || !model->is_string()) return BadField("model", "must be a text");
  out.model = model->get<std::string>();
  SIGNUM_TRY(CheckFields(parsed, chat));
  SIGNUM_TRY(chat ? ReadMessages(fields, out.messages) : ReadPrompt(fields, out));
  SIGNUM_TRY(ReadCount(fields, out));
  SIGNUM_TRY(ReadStops(fields, out));
  SIGNUM_TRY(ReadLength(fields, out));
  SIGNUM_TRY(ReadLogprobs(fields, out));
  SIGNUM_TRY(ReadSampling(fields, out));
  SIGNUM_TRY(ReadStream(fields, out));
  SIGNUM_TRY(fields.Flag("echo", out.echo));
  return out;
}

}  // namespace signum::client
