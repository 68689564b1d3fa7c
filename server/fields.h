#pragma once

#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http/message.h"
#include "storage/base/result.h"

namespace signum {

// The JSON object of a request body, read field by field. Every reader checks the type and
// remembers that the field is known; Done() refuses the fields nobody asked for, so that a typing
// mistake is never taken for a default. Errors are Errc::kUnusable "bad_field", "missing_field",
// "unknown_field" and name the field.
class Fields {
 public:
  // Errc::kInvalid "bad_json" where the body is not JSON, "bad_body" where it is not an object. A
  // Content-Type, where sent, must be JSON: kInvalid "bad_content_type".
  static Result<Fields> Parse(const http::Request& request);
  // Of an object inside a body; `where` prefixes names in messages ("files[3].").
  static Result<Fields> Of(const nlohmann::json& object, std::string where);

  Fields(Fields&&) noexcept;
  Fields& operator=(Fields&&) noexcept;
  ~Fields();

  // The raw value; nullptr where the field is absent or null.
  const nlohmann::json* Find(std::string_view name);

  Result<std::string> String(std::string_view name);
  Result<std::optional<std::string>> OptionalString(std::string_view name);
  Result<uint64_t> Number(std::string_view name);  // a whole number in 0…2^53
  Result<bool> Bool(std::string_view name, bool otherwise);
  Result<std::vector<std::string>> Strings(std::string_view name);  // [] where absent
  // A non-empty or empty array, required.
  Result<const nlohmann::json*> Array(std::string_view name);

  Result<void> Done() const;
  // "bad_field" for one of this object's fields.
  Error Bad(std::string_view name, std::string_view must_be) const;

 private:
  Fields(nlohmann::json object, std::string where);
  Result<const nlohmann::json*> Required(std::string_view name);

  std::unique_ptr<nlohmann::json> object_;
  std::string where_;
  std::vector<std::string> known_;
};

}  // namespace signum
