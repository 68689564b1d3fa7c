#include "client/answer_fields.h"

#include <nlohmann/json.hpp>

namespace signum::client {

namespace {

const nlohmann::json* Field(const nlohmann::json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Error BadAnswer(const char* key, const char* type) {
  return Fail(Errc::kInternal, "bad_answer",
              "the registry's answer lacks '" + std::string(key) + "' (" + type + ")");
}

}  // namespace

Result<std::string> JsonString(const nlohmann::json& object, const char* key) {
  const nlohmann::json* field = Field(object, key);
  if (field == nullptr || !field->is_string()) return BadAnswer(key, "a string");
  return field->get<std::string>();
}

Result<uint64_t> JsonNumber(const nlohmann::json& object, const char* key) {
  const nlohmann::json* field = Field(object, key);
  if (field == nullptr || !field->is_number_unsigned()) return BadAnswer(key, "a whole number");
  return field->get<uint64_t>();
}

Result<Digest> JsonDigest(const nlohmann::json& object, const char* key) {
  SIGNUM_ASSIGN(const std::string text, JsonString(object, key));
  const Result<Digest> digest = Digest::FromText(text);
  if (!digest) return BadAnswer(key, "a digest");
  return *digest;
}

Result<const nlohmann::json*> JsonArray(const nlohmann::json& object, const char* key) {
  const nlohmann::json* field = Field(object, key);
  if (field == nullptr || !field->is_array()) return BadAnswer(key, "an array");
  return field;
}

std::string JsonStringOr(const nlohmann::json& object, const char* key, std::string_view fallback) {
  const nlohmann::json* field = Field(object, key);
  return field != nullptr && field->is_string() ? field->get<std::string>() : std::string(fallback);
}

uint64_t JsonNumberOr(const nlohmann::json& object, const char* key, uint64_t fallback) {
  const nlohmann::json* field = Field(object, key);
  return field != nullptr && field->is_number_unsigned() ? field->get<uint64_t>() : fallback;
}

double JsonRealOr(const nlohmann::json& object, const char* key, double fallback) {
  const nlohmann::json* field = Field(object, key);
  return field != nullptr && field->is_number() ? field->get<double>() : fallback;
}

std::string JsonCell(const nlohmann::json& object, const char* key) {
  const nlohmann::json* field = Field(object, key);
  if (field == nullptr) return "-";
  return field->is_string() ? field->get<std::string>() : field->dump();
}

}  // namespace signum::client
