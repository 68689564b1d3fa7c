#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "storage/base/name.h"
#include "storage/base/result.h"

// What the readers of tokenizer.json share.

namespace signum {

// Ids from a file are below it: a vocabulary is a table.
inline constexpr uint64_t kMaxTokens = 1u << 22;

inline Error BadTokenizer(const std::string& what) {
  return Fail(Errc::kUnusable, "bad_tokenizer", "tokenizer.json: " + what);
}

inline Error UnsupportedTokenizer(const std::string& what) {
  return Fail(Errc::kUnusable, "unsupported_tokenizer",
              "tokenizer.json: " + what + " is not supported");
}

// A member of an object; null where it is absent, or `object` is none.
inline const nlohmann::json& Member(const nlohmann::json& object, const char* name) {
  static const nlohmann::json kNull;
  if (!object.is_object()) return kNull;
  const auto at = object.find(name);
  return at == object.end() ? kNull : *at;
}

inline std::string TextOf(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : "";
}

inline bool FlagOf(const nlohmann::json& object, const char* name, bool otherwise) {
  const nlohmann::json& value = Member(object, name);
  return value.is_boolean() ? value.get<bool>() : otherwise;
}

// The steps of a "Sequence", or the one step that `value` is.
inline nlohmann::json StepsOf(const nlohmann::json& value, const char* list) {
  if (TextOf(Member(value, "type")) != "Sequence") return nlohmann::json::array({value});
  const nlohmann::json& steps = Member(value, list);
  return steps.is_array() ? steps : nlohmann::json::array();
}

}  // namespace signum
