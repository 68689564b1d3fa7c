#include "client/node/serve/served_model.h"

#include <nlohmann/json.hpp>

namespace signum::client {
namespace {

using nlohmann::json;

// A JSON object of the checkpoint; an empty one where there is no such file, or it is none.
json SettingsOf(const TenantWeights& weights, std::string_view path) {
  const Result<std::string> text = weights.File(path);
  json parsed = text ? json::parse(*text, nullptr, false) : json();
  return parsed.is_object() ? parsed : json::object();
}

void AddEndTokens(const json& settings, std::set<int32_t>& to) {
  const auto at = settings.find("eos_token_id");
  if (at == settings.end()) return;
  for (const json& token : at->is_array() ? *at : json::array({*at})) {
    if (token.is_number_integer()) to.insert(token.get<int32_t>());
  }
}

Result<void> AddTokenizer(ServedModel& model) {
  const Result<std::string> bytes = model.weights->File("tokenizer.model");
  if (!bytes) return {};
  SIGNUM_ASSIGN(model.tokenizer, Tokenizer::Create(*bytes));
  if (model.tokenizer->size() <= model.weights->vocabulary()) return {};
  return Fail(Errc::kUnusable, "tokenizer_mismatch",
              "tokenizer.model has " + std::to_string(model.tokenizer->size()) +
                  " pieces, the model's vocabulary " + std::to_string(model.weights->vocabulary()));
}

std::string TemplateText(const TenantWeights& weights, const json& tokenizer_config) {
  if (const Result<std::string> file = weights.File("chat_template.jinja")) return *file;
  const auto at = tokenizer_config.find("chat_template");
  return at != tokenizer_config.end() && at->is_string() ? at->get<std::string>() : "";
}

}  // namespace

Result<std::shared_ptr<ServedModel>> MakeServedModel(std::shared_ptr<const TenantWeights> weights) {
  auto model = std::make_shared<ServedModel>();
  model->weights = std::move(weights);
  SIGNUM_TRY(AddTokenizer(*model));
  const json config = SettingsOf(*model->weights, "tokenizer_config.json");
  const auto bos = config.find("add_bos_token");
  model->add_bos = bos == config.end() || !bos->is_boolean() || bos->get<bool>();
  AddEndTokens(SettingsOf(*model->weights, "generation_config.json"), model->end_tokens);
  if (model->end_tokens.empty()) {
    AddEndTokens(SettingsOf(*model->weights, "config.json"), model->end_tokens);
  }
  if (model->tokenizer == nullptr) return model;
  if (model->end_tokens.empty()) model->end_tokens.insert(model->tokenizer->eos());
  model->chat = DetectChatTemplate(TemplateText(*model->weights, config));
  model->end_tokens.insert(EndOfTurn(model->chat, *model->tokenizer));
  return model;
}

}  // namespace signum::client
