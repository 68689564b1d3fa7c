#include "client/node/serve/openai_request.h"

#include <nlohmann/json.hpp>
#include <random>

#include "storage/base/name.h"

namespace signum::client {
namespace {

using nlohmann::json;

constexpr size_t kMaxPrompts = 64;
constexpr size_t kMaxStops = 16;
constexpr int64_t kMaxLogprobs = 20;

Error BadField(const std::string& field, const std::string& what) {
  return Fail(Errc::kInvalid, "bad_request", "'" + field + "' " + what);
}

// The fields of a body, each checked as it is read. Null counts as absent, as clients send it.
class Fields {
 public:
  explicit Fields(const json& body) : body_(body) {}

  const json* Find(const std::string& name) const {
    const auto at = body_.find(name);
    return at == body_.end() || at->is_null() ? nullptr : &*at;
  }

  Result<void> Number(const std::string& name, double least, double most, double& to) const {
    const json* at = Find(name);
    if (at == nullptr) return {};
    const double value = at->is_number() ? at->get<double>() : least - 1;
    if (!(value >= least && value <= most)) {
      return BadField(name, "must be a number from " + Text(least) + " to " + Text(most));
    }
    to = value;
    return {};
  }

  Result<std::optional<int64_t>> Integer(const std::string& name, int64_t least,
                                         int64_t most) const {
    const json* at = Find(name);
    if (at == nullptr) return std::optional<int64_t>();
    const bool fits = at->is_number_integer() && *at >= least && *at <= most;
    if (fits) return std::optional(at->get<int64_t>());
    return BadField(
        name, "must be an integer from " + std::to_string(least) + " to " + std::to_string(most));
  }

  Result<void> Flag(const std::string& name, bool& to) const {
    const json* at = Find(name);
    if (at == nullptr) return {};
    if (!at->is_boolean()) return BadField(name, "must be true or false");
    to = at->get<bool>();
    return {};
  }

 private:
  static std::string Text(double value) {
    std::string text = std::to_string(value);
    text.erase(text.find_last_not_of('0') + 1);
    if (text.ends_with('.')) text.pop_back();
    return text;
  }

  const json& body_;
};

// Fields that ask for what is not built, unless they have the value that changes nothing.
Result<void> RefuseUnsupported(const Fields& fields) {
  const std::pair<const char*, json> harmless[] = {{"n", 1},
                                                   {"best_of", 1},
                                                   {"frequency_penalty", 0},
                                                   {"presence_penalty", 0},
                                                   {"suffix", ""},
                                                   {"logit_bias", json::object()},
                                                   {"tools", json::array()},
                                                   {"functions", json::array()}};
  for (const auto& [name, value] : harmless) {
    const json* at = fields.Find(name);
    if (at != nullptr && *at != value) return BadField(name, "is not supported by this node");
  }
  return {};
}

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

// A message's text: a string, or a list of parts of type text.
Result<std::string> ContentOf(const json& message) {
  const auto content = message.find("content");
  if (content != message.end() && content->is_string()) return content->get<std::string>();
  std::string text;
  if (content != message.end() && content->is_array()) {
    for (const json& part : *content) {
      const bool typed = part.is_object() && part.contains("type") && part["type"] == "text";
      if (!typed || !part.contains("text") || !part["text"].is_string()) {
        return BadField("messages", "may hold text alone");
      }
      text += part["text"].get<std::string>();
    }
    return text;
  }
  return BadField("messages", "must be objects with role and content");
}

Result<void> ReadMessages(const Fields& fields, OpenAiRequest& out) {
  const json* messages = fields.Find("messages");
  if (messages == nullptr || !messages->is_array() || messages->empty()) {
    return BadField("messages", "must be a list of one message or more");
  }
  for (const json& message : *messages) {
    const bool shaped =
        message.is_object() && message.contains("role") && message["role"].is_string();
    if (!shaped) return BadField("messages", "must be objects with role and content");
    SIGNUM_ASSIGN(std::string content, ContentOf(message));
    out.messages.push_back({message["role"].get<std::string>(), std::move(content)});
  }
  return {};
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

// ---- with the model

Error TooLong(int64_t prompt, std::optional<int64_t> max_tokens, int64_t context) {
  const std::string wanted =
      max_tokens ? " and " + std::to_string(*max_tokens) + " for the completion" : "";
  return Fail(Errc::kInvalid, "context_length_exceeded",
              "this model's context is " + std::to_string(context) +
                  " tokens, but the request needs " +
                  std::to_string(prompt + max_tokens.value_or(1)) + ": " + std::to_string(prompt) +
                  " in the prompt" + wanted);
}

Result<void> Fit(const OpenAiRequest& from, CompletionRequest& out) {
  const int64_t context = out.model->context();
  const auto prompt = static_cast<int64_t>(out.prompt.size());
  const int64_t room = context - prompt;
  if (room < (from.max_tokens ? *from.max_tokens : 1)) {
    return TooLong(prompt, from.max_tokens, context);
  }
  const int64_t usual = from.chat ? room : std::min<int64_t>(16, room);
  out.max_tokens = from.max_tokens.value_or(usual);
  return {};
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
  std::vector<int32_t> ids;
  if (model.add_bos && model.tokenizer->bos() >= 0) ids.push_back(model.tokenizer->bos());
  const std::vector<int32_t> encoded = model.tokenizer->Encode(text, Controls::kTokens);
  ids.insert(ids.end(), encoded.begin(), encoded.end());
  return ids;
}

Result<std::vector<std::vector<int32_t>>> TokenPrompts(const OpenAiRequest& from,
                                                       const ServedModel& model) {
  std::vector<std::vector<int32_t>> out;
  if (from.chat) {
    if (model.tokenizer == nullptr) return EncodePrompt("", model).error();
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
  SIGNUM_TRY(RefuseUnsupported(fields));
  SIGNUM_TRY(chat ? ReadMessages(fields, out) : ReadPrompt(fields, out));
  SIGNUM_TRY(ReadStops(fields, out));
  SIGNUM_TRY(ReadLength(fields, out));
  SIGNUM_TRY(ReadLogprobs(fields, out));
  SIGNUM_TRY(ReadSampling(fields, out));
  SIGNUM_TRY(ReadStream(fields, out));
  SIGNUM_TRY(fields.Flag("echo", out.echo));
  return out;
}

Result<std::vector<CompletionRequest>> MakePrompts(const OpenAiRequest& from,
                                                   std::shared_ptr<const ServedModel> model) {
  SIGNUM_ASSIGN(auto prompts, TokenPrompts(from, *model));
  std::vector<CompletionRequest> out;
  const bool blank_first = model->tokenizer != nullptr && model->tokenizer->blank_first();
  for (std::vector<int32_t>& prompt : prompts) {
    SIGNUM_TRY(CheckTokens(prompt, *model));
    CompletionRequest& request = out.emplace_back();
    request.model = model;
    request.prompt = std::move(prompt);
    request.sampling = from.sampling;
    if (!from.seeded) request.sampling.seed = std::random_device{}();
    if (from.seeded) request.sampling.seed += out.size() - 1;
    request.logprobs = from.logprobs;
    request.echo = from.echo && !from.chat;
    request.stops = from.stops;
    request.drop_first_blank = from.chat && blank_first;
    SIGNUM_TRY(Fit(from, request));
  }
  return out;
}

}  // namespace signum::client
