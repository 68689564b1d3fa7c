#include "server/fields.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "storage/format/canonical_json.h"

namespace signum {
namespace {

constexpr uint64_t kMaxExact = 1ull << 53;  // what every JSON reader keeps exactly

// "application/json", any "+json", with or without parameters; curl's default form type passes,
// since people forget -H.
bool IsJsonType(std::string_view type) {
  type = type.substr(0, type.find(';'));
  while (!type.empty() && type.back() == ' ') type.remove_suffix(1);
  return type.empty() || type == "application/json" || type.ends_with("+json") ||
         type == "application/x-www-form-urlencoded";
}

}  // namespace

Fields::Fields(nlohmann::json object, std::string where)
    : object_(std::make_unique<nlohmann::json>(std::move(object))), where_(std::move(where)) {}
Fields::Fields(Fields&&) noexcept = default;
Fields& Fields::operator=(Fields&&) noexcept = default;
Fields::~Fields() = default;

Result<Fields> Fields::Parse(const http::Request& request) {
  if (!IsJsonType(request.Header("content-type"))) {
    return Fail(Errc::kInvalid, "bad_content_type", "Content-Type must be application/json");
  }
  SIGNUM_ASSIGN(nlohmann::json body, ParseJson(request.body));
  if (!body.is_object()) {
    return Fail(Errc::kInvalid, "bad_body", "the request body must be a JSON object");
  }
  return Fields(std::move(body), "");
}

Result<Fields> Fields::Of(const nlohmann::json& object, std::string where) {
  if (!object.is_object()) {
    const std::string name = where.substr(0, where.find_last_not_of('.') + 1);
    return Fail(Errc::kUnusable, "bad_field", "field '" + name + "' must be an object");
  }
  return Fields(object, std::move(where));
}

const nlohmann::json* Fields::Find(std::string_view name) {
  known_.emplace_back(name);
  const auto found = object_->find(std::string(name));
  return found == object_->end() || found->is_null() ? nullptr : &*found;
}

Result<const nlohmann::json*> Fields::Required(std::string_view name) {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) {
    return Fail(Errc::kUnusable, "missing_field",
                "field '" + where_ + std::string(name) + "' is missing");
  }
  return value;
}

Error Fields::Bad(std::string_view name, std::string_view must_be) const {
  return Fail(Errc::kUnusable, "bad_field",
              "field '" + where_ + std::string(name) + "' must be " + std::string(must_be));
}

Result<std::string> Fields::String(std::string_view name) {
  SIGNUM_ASSIGN(const nlohmann::json* value, Required(name));
  if (!value->is_string()) return Bad(name, "a string");
  return value->get<std::string>();
}

Result<std::optional<std::string>> Fields::OptionalString(std::string_view name) {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return std::optional<std::string>();
  if (!value->is_string()) return Bad(name, "a string");
  return std::optional<std::string>(value->get<std::string>());
}

Result<uint64_t> Fields::Number(std::string_view name) {
  SIGNUM_ASSIGN(const nlohmann::json* value, Required(name));
  if (!value->is_number_unsigned() || value->get<uint64_t>() > kMaxExact) {
    return Bad(name, "a whole number from 0 to 2^53");
  }
  return value->get<uint64_t>();
}

Result<bool> Fields::Bool(std::string_view name, bool otherwise) {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) return Bad(name, "true or false");
  return value->get<bool>();
}

Result<std::vector<std::string>> Fields::Strings(std::string_view name) {
  std::vector<std::string> strings;
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return strings;
  if (!value->is_array()) return Bad(name, "an array of strings");
  for (const nlohmann::json& item : *value) {
    if (!item.is_string()) return Bad(name, "an array of strings");
    strings.push_back(item.get<std::string>());
  }
  return strings;
}

Result<const nlohmann::json*> Fields::Array(std::string_view name) {
  SIGNUM_ASSIGN(const nlohmann::json* value, Required(name));
  if (!value->is_array()) return Bad(name, "an array");
  return value;
}

Result<void> Fields::Done() const {
  for (const auto& [name, value] : object_->items()) {
    if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
      return Fail(Errc::kUnusable, "unknown_field",
                  "field '" + where_ + name + "' is not known here");
    }
  }
  return {};
}

}  // namespace signum
