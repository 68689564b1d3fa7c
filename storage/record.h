#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "storage/base/digest.h"

// How records become JSON and back. A record type names its fields once, in a function
//   template <class F, class R> requires RecordOf<R, T> void Fields(F& f, R& r) { f("name",
//   r.name); … }
// found by argument-dependent lookup. Include only from .cc files: json.hpp is slow to compile.
//
// A record carries "_v", its layout's version. A field that is absent keeps its default, so fields
// can be added without a new version.

namespace signum {

inline constexpr int kRecordVersion = 1;

template <class R, class T>
concept RecordOf = std::is_same_v<std::remove_const_t<R>, T>;

class FieldWriter {
 public:
  template <class T>
  void operator()(const char* name, const T& value) {
    json_[name] = ToJson(value);
  }
  nlohmann::json Take() { return std::move(json_); }

  template <class T>
  static nlohmann::json ToJson(const T& value) {
    if constexpr (std::is_same_v<T, Digest>) {
      return value.Hex();
    } else if constexpr (std::is_enum_v<T>) {
      return static_cast<std::underlying_type_t<T>>(value);
    } else if constexpr (requires { nlohmann::json(value); }) {
      return value;
    } else {
      FieldWriter inner;
      Fields(inner, value);
      return inner.Take();
    }
  }
  template <class T>
  static nlohmann::json ToJson(const std::optional<T>& value) {
    return value ? ToJson(*value) : nlohmann::json();
  }
  template <class T>
  static nlohmann::json ToJson(const std::vector<T>& values) {
    nlohmann::json list = nlohmann::json::array();
    for (const T& value : values) list.push_back(ToJson(value));
    return list;
  }

 private:
  nlohmann::json json_ = nlohmann::json::object();
};

// Throws nlohmann::json::exception on a field of another type.
class FieldReader {
 public:
  explicit FieldReader(const nlohmann::json& json) : json_(json) {}
  template <class T>
  void operator()(const char* name, T& value) {
    if (const auto it = json_.find(name); it != json_.end()) FromJson(*it, value);
  }

  template <class T>
  static void FromJson(const nlohmann::json& json, T& value) {
    if constexpr (std::is_same_v<T, Digest>) {
      const auto digest = Digest::FromText(json.get<std::string>());
      if (digest.has_error()) {
        throw nlohmann::json::other_error::create(501, digest.error().message, &json);
      }
      value = *digest;
    } else if constexpr (std::is_enum_v<T>) {
      value = static_cast<T>(json.get<std::underlying_type_t<T>>());
    } else if constexpr (requires { json.get<T>(); }) {
      value = json.get<T>();
    } else {
      FieldReader inner(json);
      Fields(inner, value);
    }
  }
  template <class T>
  static void FromJson(const nlohmann::json& json, std::optional<T>& value) {
    if (json.is_null()) return value.reset();
    FromJson(json, value.emplace());
  }
  template <class T>
  static void FromJson(const nlohmann::json& json, std::vector<T>& values) {
    for (const auto& item : json) FromJson(item, values.emplace_back());
  }

 private:
  const nlohmann::json& json_;
};

template <class R>
std::string EncodeRecord(const R& record) {
  nlohmann::json json = FieldWriter::ToJson(record);
  json["_v"] = kRecordVersion;
  // Text of others (error messages) may be no UTF-8; that must not lose the record.
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// Errc::kCorrupt "bad_record" names `key` where the bytes are no such record.
template <class R>
Result<R> DecodeRecord(std::string_view bytes, std::string_view key) {
  try {
    const auto json = nlohmann::json::parse(bytes);
    if (json.at("_v").get<int>() != kRecordVersion) {
      return Fail(Errc::kUnavailable, "schema_too_new",
                  "record '" + std::string(key) + "' has an unknown version");
    }
    R record;
    FieldReader::FromJson(json, record);
    return record;
  } catch (const nlohmann::json::exception& e) {
    return Fail(Errc::kCorrupt, "bad_record", "record '" + std::string(key) + "': " + e.what());
  }
}

}  // namespace signum
