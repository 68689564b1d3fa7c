#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "storage/base/digest.h"

namespace signum {

// Reads the members of a JSON object of a known layout. The first member that is absent or of
// another kind is remembered with its path ("files[3].size is not an unsigned integer up to 2^53");
// what is read after it is empty, so that callers read everything and check once.
class JsonFields {
 public:
  // `value` outlives the reader.
  JsonFields(const nlohmann::json& value, std::string path);

  bool Has(const char* name) const { return object_->contains(name); }
  std::string String(const char* name);
  uint64_t Unsigned(const char* name);  // at most 2^53, what JSON holds exactly
  Digest ReadDigest(const char* name);
  const nlohmann::json& Array(const char* name);
  const nlohmann::json& Object(const char* name);
  // Refuses unless the member is exactly this.
  void Expect(const char* name, const nlohmann::json& value);

  std::string PathOf(const char* name) const { return path_.empty() ? name : path_ + "." + name; }
  void Refuse(const std::string& why);
  bool failed() const { return !error_.empty(); }
  const std::string& error() const { return error_; }

 private:
  const nlohmann::json& Member(const char* name, bool fits(const nlohmann::json&),
                               const char* kind);

  const nlohmann::json* object_;
  std::string path_;
  std::string error_;
};

// The value of a JSON string that holds a digest in its text form with prefix; false for all else.
[[nodiscard]] bool DigestFromJson(const nlohmann::json& value, Digest* out);

// True for an integer in 0 … 2^53.
bool IsSafeUnsigned(const nlohmann::json& value);

}  // namespace signum
