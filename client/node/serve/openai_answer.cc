#include "client/node/serve/openai_answer.h"

#include <algorithm>
#include <ctime>
#include <iterator>
#include <utility>

#include "client/node/serve/openai_fields.h"
#include "gpu/tokenizer/utf8.h"

namespace signum::client {

using Json = nlohmann::ordered_json;

std::string DumpJson(const Json& document) {
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// ---- errors

int OpenAiStatus(const Error& error) {
  if (error.reason == "queue_full") return 429;
  if (error.code == Errc::kExhausted) return 503;
  return http::StatusOf(error);
}

namespace {

Json ParamOf(const Error& error) {
  if (error.reason == "unknown_model") return "model";
  const std::optional<std::string> field = FieldAtFault(error);
  return field ? Json(*field) : Json(nullptr);
}

// Where the next piece begins: places in a text are counted in characters.
int64_t After(int64_t offset, std::string_view piece) {
  return offset + std::ranges::count_if(piece, [](char c) { return (c & 0xC0) != 0x80; });
}

}  // namespace

Json OpenAiErrorBody(const Error& error, int status) {
  const char* type = status == 429   ? "rate_limit_error"
                     : status >= 500 ? "server_error"
                     : status == 401 ? "authentication_error"
                                     : "invalid_request_error";
  return {{"error",
           {{"message", error.message},
            {"type", type},
            {"param", ParamOf(error)},
            {"code", error.reason == "unknown_model" ? "model_not_found" : error.reason}}}};
}

http::Response OpenAiError(const Error& error) {
  const int status = OpenAiStatus(error);
  http::Response response = http::Json(status, DumpJson(OpenAiErrorBody(error, status)));
  if (status == 429 || status == 503) response.Set("Retry-After", "1");
  if (status == 401) response.Set("WWW-Authenticate", "Bearer realm=\"signum-node\"");
  response.Set("Cache-Control", "no-store");
  return response;
}

// ---- collecting

OpenAiAnswer::OpenAiAnswer(const OpenAiRequest& request, const ServedModel& model, std::string id,
                           const std::vector<std::shared_ptr<Completion>>& completions)
    : request_(request),
      id_(std::move(id)),
      created_(static_cast<int64_t>(std::time(nullptr))),
      fingerprint_(model.fingerprint),
      tokenizer_(model.tokenizer) {
  for (const auto& completion : completions) choices_.emplace_back().completion = completion;
}

std::string OpenAiAnswer::PieceText(int32_t token) const {
  return tokenizer_ == nullptr ? "token_id:" + std::to_string(token) : tokenizer_->Piece(token);
}

// The prompt before the completion, with its logprobs where they are wanted.
void OpenAiAnswer::Echo(Choice& choice) {
  const std::vector<int32_t>& prompt = choice.completion->request().prompt;
  std::string bytes;
  for (const int32_t token : prompt) bytes += PieceText(token);
  const std::string text = CleanUtf8(std::move(bytes));
  const bool blank = tokenizer_ != nullptr && tokenizer_->blank_first() && text.starts_with(' ');
  choice.fresh += blank ? text.substr(1) : text;
  if (blank) choice.offset = -1;
  if (request_.logprobs < 0) return;
  choice.fresh_outputs.push_back({prompt[0], "", std::nullopt, {}});
  std::ranges::move(choice.scored, std::back_inserter(choice.fresh_outputs));
  choice.scored.clear();
}

void OpenAiAnswer::CollectChoice(Choice& choice) {
  if (choice.finish != FinishReason::kNone) return;
  Completion::News news = choice.completion->Take();
  // A prompt may be scored over several steps, and looked at in between.
  std::ranges::move(news.prompt, std::back_inserter(choice.scored));
  const bool starts = !news.tokens.empty() || news.finish != FinishReason::kNone;
  if (choice.completion->request().echo && starts && !std::exchange(choice.echoed, true)) {
    Echo(choice);
  }
  for (TokenOutput& output : news.tokens) {
    choice.fresh += output.text;
    if (request_.logprobs >= 0) choice.fresh_outputs.push_back(std::move(output));
  }
  choice.fresh += news.rest;
  choice.generated = news.generated;
  choice.finish = news.finish;
  if (news.error && !error_) error_ = news.error;
}

void OpenAiAnswer::Collect() {
  for (Choice& choice : choices_) CollectChoice(choice);
}

bool OpenAiAnswer::finished() const {
  for (const Choice& choice : choices_) {
    if (choice.finish == FinishReason::kNone) return false;
  }
  return true;
}

// ---- documents

Json OpenAiAnswer::FinishName(FinishReason reason) {
  if (reason == FinishReason::kStop) return "stop";
  if (reason == FinishReason::kLength) return "length";
  return nullptr;
}

Json OpenAiAnswer::Head(bool chunk) const {
  const char* object = !request_.chat ? "text_completion"
                       : chunk        ? "chat.completion.chunk"
                                      : "chat.completion";
  return {{"id", id_},
          {"object", object},
          {"created", created_},
          {"model", request_.model},
          {"system_fingerprint", fingerprint_}};
}

Json OpenAiAnswer::Usage() const {
  uint64_t prompt = 0;
  uint64_t generated = 0;
  for (size_t i = 0; i < choices_.size(); ++i) {
    const bool first = i % static_cast<size_t>(request_.n) == 0;  // of a prompt's
    if (first) prompt += choices_[i].completion->request().prompt.size();
    generated += choices_[i].generated;
  }
  return {{"prompt_tokens", prompt},
          {"completion_tokens", generated},
          {"total_tokens", prompt + generated}};
}

Json OpenAiAnswer::Logprobs(const std::vector<TokenOutput>& outputs, int64_t offset) const {
  if (request_.logprobs < 0) return nullptr;
  if (request_.chat) return ChatLogprobs(outputs);
  Json tokens = Json::array(), values = Json::array(), tops = Json::array(),
       offsets = Json::array(), ids = Json::array();
  for (const TokenOutput& output : outputs) {
    tokens.push_back(PieceText(output.token));
    ids.push_back(output.token);
    values.push_back(output.logprob ? Json(*output.logprob) : Json(nullptr));
    Json top = Json::object();
    for (const TokenLogprob& each : output.top) top[PieceText(each.token)] = each.logprob;
    tops.push_back(output.logprob ? std::move(top) : Json(nullptr));
    offsets.push_back(std::max<int64_t>(0, offset));
    offset = After(offset, PieceText(output.token));
  }
  return {{"tokens", std::move(tokens)},
          {"token_ids", std::move(ids)},
          {"token_logprobs", std::move(values)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

Json OpenAiAnswer::ChatToken(int32_t token, double logprob) const {
  const std::string piece = PieceText(token);
  Json bytes = Json::array();
  for (const char c : piece) bytes.push_back(static_cast<unsigned char>(c));
  return {{"token", piece}, {"logprob", logprob}, {"bytes", std::move(bytes)}};
}

Json OpenAiAnswer::ChatLogprobs(const std::vector<TokenOutput>& outputs) const {
  Json content = Json::array();
  for (const TokenOutput& output : outputs) {
    Json entry = ChatToken(output.token, output.logprob.value_or(0));
    Json top = Json::array();
    for (const TokenLogprob& each : output.top) top.push_back(ChatToken(each.token, each.logprob));
    entry["top_logprobs"] = std::move(top);
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}};
}

Json OpenAiAnswer::Whole() const {
  Json document = Head(false);
  Json choices = Json::array();
  for (size_t i = 0; i < choices_.size(); ++i) {
    const Choice& choice = choices_[i];
    Json entry = {{"index", i}};
    const std::string text = choice.text + choice.fresh;
    if (request_.chat) {
      entry["message"] = {{"role", "assistant"}, {"content", text}};
    } else {
      entry["text"] = text;
    }
    std::vector<TokenOutput> outputs = choice.outputs;
    outputs.insert(outputs.end(), choice.fresh_outputs.begin(), choice.fresh_outputs.end());
    entry["logprobs"] = Logprobs(outputs, choice.offset);
    entry["finish_reason"] = FinishName(choice.finish);
    choices.push_back(std::move(entry));
  }
  document["choices"] = std::move(choices);
  document["usage"] = Usage();
  return document;
}

// ---- events

std::string OpenAiAnswer::Event(Choice& choice, size_t index) {
  Json document = Head(true);
  Json entry = {{"index", index}};
  if (request_.chat) {
    Json delta = Json::object();
    if (!choice.begun) delta["role"] = "assistant";
    if (!choice.fresh.empty() || !choice.begun) delta["content"] = choice.fresh;
    entry["delta"] = std::move(delta);
  } else {
    entry["text"] = choice.fresh;
  }
  entry["logprobs"] = Logprobs(choice.fresh_outputs, choice.offset);
  entry["finish_reason"] = FinishName(choice.finish);
  document["choices"] = Json::array({std::move(entry)});
  if (request_.include_usage) document["usage"] = nullptr;
  for (const TokenOutput& output : choice.fresh_outputs) {
    choice.offset = After(choice.offset, PieceText(output.token));
  }
  choice.text += std::exchange(choice.fresh, "");
  choice.fresh_outputs.clear();
  choice.begun = true;
  choice.ended = choice.finish != FinishReason::kNone;
  return "data: " + DumpJson(document) + "\n\n";
}

std::string OpenAiAnswer::Events() {
  std::string out;
  if (closed_) return out;
  for (size_t i = 0; i < choices_.size(); ++i) {
    Choice& choice = choices_[i];
    const bool news = !choice.fresh.empty() || !choice.fresh_outputs.empty() ||
                      choice.finish != FinishReason::kNone;
    if (news && !choice.ended && !error_) out += Event(choice, i);
  }
  if (error_) {
    out += "data: " + DumpJson(OpenAiErrorBody(*error_, OpenAiStatus(*error_))) + "\n\n";
  } else if (finished() && request_.include_usage) {
    Json document = Head(true);
    document["choices"] = Json::array();
    document["usage"] = Usage();
    out += "data: " + DumpJson(document) + "\n\n";
  }
  closed_ = finished() || error_.has_value();
  if (closed_) out += "data: [DONE]\n\n";
  return out;
}

}  // namespace signum::client
