#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "storage/base/result.h"

namespace signum::client {

// "bad_request", whose message begins with the field that is at fault.
Error BadField(const std::string& field, const std::string& what);
// That field again; nullopt of any other error.
std::optional<std::string> FieldAtFault(const Error& error);

// The fields of a JSON object, each checked as it is read. Null counts as absent, as clients send
// it. Refers to the object.
class Fields {
 public:
  explicit Fields(const nlohmann::json& body) : body_(body) {}

  const nlohmann::json* Find(const std::string& name) const;
  Result<void> Number(const std::string& name, double least, double most, double& to) const;
  Result<std::optional<int64_t>> Integer(const std::string& name, int64_t least,
                                         int64_t most) const;
  Result<void> Flag(const std::string& name, bool& to) const;

 private:
  const nlohmann::json& body_;
};

// Every field of a request is one that is read, one that changes no answer, or has the one value
// that asks for nothing. Any other is refused by name: an answer made without it would not be the
// one that was asked for.
Result<void> CheckFields(const nlohmann::json& body, bool chat);

}  // namespace signum::client
