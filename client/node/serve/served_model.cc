#include "client/node/serve/served_model.h"

#include <charconv>
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

std::string TextAt(const json& object, const char* name) {
  const json text = object.is_object() ? object.value(name, json()) : json();
  return text.is_string() ? text.get<std::string>() : "";
}

// A token as tokenizer_config.json names it: its text, or an object that has it.
std::string TokenText(const json& config, const char* name) {
  const auto at = config.find(name);
  if (at == config.end()) return "";
  return at->is_object() ? TextAt(*at, "content") : TextAt(config, name);
}

Result<void> CheckSize(std::string_view file, const ServedModel& model) {
  if (model.tokenizer->size() <= model.weights->vocabulary()) return {};
  return Fail(Errc::kUnusable, "tokenizer_mismatch",
              std::string(file) + " has " + std::to_string(model.tokenizer->size()) +
                  " pieces, the model's vocabulary " + std::to_string(model.weights->vocabulary()));
}

// What a tokenizer.model lacks, as a tokenizer.json would list it: a chat's markers, mostly. What
// is beyond the vocabulary was never trained, and is left to be text.
json AddedTokensOf(const ServedModel& model, const json& config) {
  json out = json::array();
  const auto add = [&](const std::string& content, int64_t id, const json& options) {
    if (content.empty() || id < 0 || id >= model.weights->vocabulary()) return;
    json token = options.is_object() ? options : json{{"special", true}};
    token["content"] = content;
    token["id"] = static_cast<uint64_t>(id);
    out.push_back(std::move(token));
  };
  const json older = SettingsOf(*model.weights, "added_tokens.json");
  for (const auto& [content, id] : older.items()) {
    add(content, id.is_number_integer() ? id.get<int64_t>() : -1, json());
  }
  const json named = config.value("added_tokens_decoder", json());
  const json decoder = named.is_object() ? named : json::object();
  for (const auto& [id, options] : decoder.items()) {
    int64_t number = -1;
    std::from_chars(id.data(), id.data() + id.size(), number);
    add(TextAt(options, "content"), number, options);
  }
  return out;
}

Result<void> AddTokenizer(const json& config, ServedModel& model) {
  const auto add_bos = config.find("add_bos_token");
  const bool told = add_bos != config.end() && add_bos->is_boolean();
  model.add_bos = !told || add_bos->get<bool>();
  const std::string bos = told && model.add_bos ? TokenText(config, "bos_token") : "";
  model.no_text = "the model has neither tokenizer.model nor tokenizer.json";
  for (const std::string_view file : Tokenizer::kFiles) {
    const Result<std::string> bytes = model.weights->File(file);
    if (!bytes) continue;
    const std::string added =
        file == "tokenizer.model" ? AddedTokensOf(model, config).dump() : std::string();
    auto tokenizer = Tokenizer::Open(file, *bytes, bos, added);
    if (tokenizer.has_error() && tokenizer.error().reason == "unsupported_tokenizer") {
      model.no_text = tokenizer.error().message;
      return {};
    }
    SIGNUM_ASSIGN(model.tokenizer, std::move(tokenizer));
    return CheckSize(file, model);
  }
  return {};
}

int32_t EndOfText(const json& config, const Tokenizer& tokenizer) {
  const int32_t token = tokenizer.Find(TokenText(config, "eos_token"));
  return token >= 0 ? token : tokenizer.eos();
}

// Of several templates by name, the default one.
std::string DefaultOf(const json& named) {
  for (const json& each : named) {
    if (!each.is_object() || each.value("name", json()) != "default") continue;
    const json text = each.value("template", json());
    if (text.is_string()) return text.get<std::string>();
  }
  return "";
}

std::string TemplateText(const TenantWeights& weights, const json& config) {
  if (const Result<std::string> file = weights.File("chat_template.jinja")) return *file;
  const auto at = config.find("chat_template");
  if (at == config.end()) return "";
  return at->is_string() ? at->get<std::string>() : DefaultOf(at->is_array() ? *at : json::array());
}

// What transformers gives a template beside the messages: the special tokens that are named.
jinja::Variables SpecialTokens(const json& config, const json& older) {
  jinja::Variables out;
  for (const char* name : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                           "cls_token", "mask_token"}) {
    const std::string here = TokenText(config, name);
    const std::string text = here.empty() ? TokenText(older, name) : here;
    if (!text.empty()) out.emplace_back(name, jinja::Value::Of(text));
  }
  return out;
}

// Whether a tokenizer.json begins every part between control tokens with a blank, as its normalizer
// or pre-tokenizer says.
bool BlankOf(const json& tokenizer) {
  const json normalizer = tokenizer.value("normalizer", json());
  const json pre_tokenizer = tokenizer.value("pre_tokenizer", json());
  const bool prepends = normalizer.dump().find("\"Prepend\"") != std::string::npos;
  const std::string scheme = pre_tokenizer.dump();
  return prepends || (scheme.find("\"Metaspace\"") != std::string::npos &&
                      scheme.find("\"prepend_scheme\":\"first\"") == std::string::npos &&
                      scheme.find("\"prepend_scheme\":\"never\"") == std::string::npos);
}

// The same of a SentencePiece tokenizer: Hugging Face's files differ in it.
bool BlankAfterControls(const TenantWeights& weights, const json& config) {
  const json tokenizer = SettingsOf(weights, "tokenizer.json");
  return tokenizer.empty() ? config.value("legacy", json()) != false : BlankOf(tokenizer);
}

ChatTemplate TemplateOf(const TenantWeights& weights, const json& config, bool blank) {
  std::string text = TemplateText(weights, config);
  if (text.empty()) return {};
  const json older = SettingsOf(weights, "special_tokens_map.json");
  return ChatTemplate(std::move(text), SpecialTokens(config, older), blank);
}

}  // namespace

Result<std::shared_ptr<ServedModel>> MakeServedModel(std::shared_ptr<const TenantWeights> weights) {
  auto model = std::make_shared<ServedModel>();
  model->weights = std::move(weights);
  const json config = SettingsOf(*model->weights, "tokenizer_config.json");
  SIGNUM_TRY(AddTokenizer(config, *model));
  AddEndTokens(SettingsOf(*model->weights, "generation_config.json"), model->end_tokens);
  if (model->end_tokens.empty()) {
    AddEndTokens(SettingsOf(*model->weights, "config.json"), model->end_tokens);
  }
  if (model->tokenizer == nullptr) return model;
  if (model->end_tokens.empty()) model->end_tokens.insert(EndOfText(config, *model->tokenizer));
  model->blank_after_controls = BlankAfterControls(*model->weights, config);
  model->chat = TemplateOf(*model->weights, config, model->blank_after_controls);
  const int32_t end_of_turn = model->chat.EndOfTurn(*model->tokenizer);
  if (end_of_turn >= 0) model->end_tokens.insert(end_of_turn);
  return model;
}

}  // namespace signum::client
