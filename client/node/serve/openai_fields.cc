#include "client/node/serve/openai_fields.h"

#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "storage/base/name.h"

namespace signum::client {
namespace {

using nlohmann::json;
using Names = std::set<std::string, std::less<>>;

std::string Text(double value) {
  std::string text = std::to_string(value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

// What ParseOpenAiRequest reads.
const Names& Read(bool chat) {
  static const Names kCompletions = {
      "model", "prompt", "max_tokens", "temperature", "top_p", "top_k",  "seed",
      "stop",  "n",      "best_of",    "logprobs",    "echo",  "stream", "stream_options"};
  static const Names kChat = {"model",       "messages",
                              "max_tokens",  "max_completion_tokens",
                              "temperature", "top_p",
                              "top_k",       "seed",
                              "stop",        "n",
                              "logprobs",    "top_logprobs",
                              "stream",      "stream_options"};
  return chat ? kChat : kCompletions;
}

// What is for the service that a client may be meant for, or says how to call tools when there are
// none.
bool ChangesNothing(std::string_view name) {
  static const Names kNames = {"user",
                               "metadata",
                               "store",
                               "service_tier",
                               "safety_identifier",
                               "prompt_cache_key",
                               "prompt_cache_retention",
                               "parallel_tool_calls"};
  return kNames.contains(name);
}

// Whether a field that is not built has a value that asks for nothing; nullopt where it is not
// known at all.
std::optional<bool> AsksForNothing(const std::string& name, const json& value) {
  static const std::vector<std::pair<std::string_view, json>> kHarmless = {
      {"frequency_penalty", 0},
      {"presence_penalty", 0},
      {"repetition_penalty", 1},
      {"min_p", 0},
      {"logit_bias", json::object()},
      {"suffix", ""},
      {"echo", false},
      {"tools", json::array()},
      {"tool_choice", "none"},
      {"tool_choice", "auto"},
      {"functions", json::array()},
      {"function_call", "none"},
      {"function_call", "auto"},
      {"modalities", json::array({"text"})},
      {"response_format", {{"type", "text"}}},
  };
  std::optional<bool> out;
  for (const auto& [known, harmless] : kHarmless) {
    if (name == known) out = out.value_or(false) || value == harmless;
  }
  return out;
}

}  // namespace

Error BadField(const std::string& field, const std::string& what) {
  return Fail(Errc::kInvalid, "bad_request", "'" + field + "' " + what);
}

std::optional<std::string> FieldAtFault(const Error& error) {
  const size_t end = error.message.find("' ");
  if (error.reason != "bad_request" || !error.message.starts_with('\'') ||
      end == std::string::npos) {
    return std::nullopt;
  }
  return error.message.substr(1, end - 1);
}

const json* Fields::Find(const std::string& name) const {
  const auto at = body_.find(name);
  return at == body_.end() || at->is_null() ? nullptr : &*at;
}

Result<void> Fields::Number(const std::string& name, double least, double most, double& to) const {
  const json* at = Find(name);
  if (at == nullptr) return {};
  const double value = at->is_number() ? at->get<double>() : least - 1;
  if (!(value >= least && value <= most)) {
    return BadField(name, "must be a number from " + Text(least) + " to " + Text(most));
  }
  to = value;
  return {};
}

Result<std::optional<int64_t>> Fields::Integer(const std::string& name, int64_t least,
                                               int64_t most) const {
  const json* at = Find(name);
  if (at == nullptr) return std::optional<int64_t>();
  const bool fits = at->is_number_integer() && *at >= least && *at <= most;
  if (fits) return std::optional(at->get<int64_t>());
  return BadField(
      name, "must be an integer from " + std::to_string(least) + " to " + std::to_string(most));
}

Result<void> Fields::Flag(const std::string& name, bool& to) const {
  const json* at = Find(name);
  if (at == nullptr) return {};
  if (!at->is_boolean()) return BadField(name, "must be true or false");
  to = at->get<bool>();
  return {};
}

Result<void> CheckFields(const json& body, bool chat) {
  for (const auto& [name, value] : body.items()) {
    if (value.is_null() || Read(chat).contains(name) || ChangesNothing(name)) continue;
    const std::optional<bool> nothing = AsksForNothing(name, value);
    if (!nothing) return BadField(Printable(name), "is no field that this node knows");
    if (!*nothing) return BadField(name, "is not supported by this node");
  }
  return {};
}

}  // namespace signum::client
