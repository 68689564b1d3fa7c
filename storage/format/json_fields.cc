#include "storage/format/json_fields.h"

#include "storage/base/name.h"

namespace signum {

namespace {

using nlohmann::json;

const json& EmptyObject() {
  static const json empty = json::object();
  return empty;
}

}  // namespace

bool IsSafeUnsigned(const json& value) {
  return value.is_number_unsigned() && value.get<uint64_t>() <= uint64_t{1} << 53;
}

bool DigestFromJson(const json& value, Digest* out) {
  if (!value.is_string()) return false;
  const auto& text = value.get_ref<const std::string&>();
  if (!text.starts_with("sha256:")) return false;
  const Result<Digest> digest = Digest::FromText(text);
  if (digest) *out = *digest;
  return digest.has_value();
}

JsonFields::JsonFields(const json& value, std::string path)
    : object_(value.is_object() ? &value : &EmptyObject()), path_(std::move(path)) {
  if (!value.is_object()) {
    error_ = (path_.empty() ? std::string("the document") : path_) + " is not an object";
  }
}

void JsonFields::Refuse(const std::string& why) {
  if (error_.empty()) error_ = why;
}

const json& JsonFields::Member(const char* name, bool fits(const json&), const char* kind) {
  static const json null;
  const auto at = object_->find(name);
  if (at == object_->end()) {
    Refuse(PathOf(name) + " is absent");
  } else if (!fits(*at)) {
    Refuse(PathOf(name) + " is not " + kind);
  } else {
    return *at;
  }
  return null;
}

std::string JsonFields::String(const char* name) {
  const json& value = Member(
      name, [](const json& v) { return v.is_string(); }, "a string");
  return value.is_string() ? value.get<std::string>() : std::string();
}

uint64_t JsonFields::Unsigned(const char* name) {
  const json& value = Member(name, IsSafeUnsigned, "an unsigned integer up to 2^53");
  return value.is_null() ? 0 : value.get<uint64_t>();
}

Digest JsonFields::ReadDigest(const char* name) {
  Digest digest;
  const json& value = Member(
      name, [](const json& v) { return v.is_string(); }, "a string");
  if (!value.is_null() && !DigestFromJson(value, &digest)) {
    Refuse(PathOf(name) + " is not sha256:<64 hex digits>");
  }
  return digest;
}

const json& JsonFields::Array(const char* name) {
  static const json empty = json::array();
  const json& value = Member(
      name, [](const json& v) { return v.is_array(); }, "an array");
  return value.is_null() ? empty : value;
}

const json& JsonFields::Object(const char* name) {
  const json& value = Member(
      name, [](const json& v) { return v.is_object(); }, "an object");
  return value.is_null() ? EmptyObject() : value;
}

void JsonFields::Expect(const char* name, const json& value) {
  const auto at = object_->find(name);
  if (at == object_->end() || *at != value) Refuse(PathOf(name) + " is not " + value.dump());
}

}  // namespace signum
