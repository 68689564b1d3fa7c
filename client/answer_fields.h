#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "storage/base/digest.h"
#include "storage/base/result.h"

namespace signum::client {

// Typed access to what a registry answered. A field that is absent or of another type is
// Errc::kInternal "bad_answer" and is named: the registry, not the caller, is at fault.
Result<std::string> JsonString(const nlohmann::json& object, const char* key);
Result<uint64_t> JsonNumber(const nlohmann::json& object, const char* key);
Result<Digest> JsonDigest(const nlohmann::json& object, const char* key);
// An array (a reference into `object`).
Result<const nlohmann::json*> JsonArray(const nlohmann::json& object, const char* key);
// Empty where the field is absent or null.
std::string JsonStringOr(const nlohmann::json& object, const char* key, std::string_view fallback);
uint64_t JsonNumberOr(const nlohmann::json& object, const char* key, uint64_t fallback);
double JsonRealOr(const nlohmann::json& object, const char* key, double fallback);

// One line of text for a scalar, "-" for null or absent: what tables show.
std::string JsonCell(const nlohmann::json& object, const char* key);

}  // namespace signum::client
