#pragma once

#include <nlohmann/json_fwd.hpp>

#include "storage/format/recipe.h"

namespace signum {

// A recipe as the JSON value that it is in its own document and in a manifest.
nlohmann::json RecipeToJson(const Recipe& recipe);

// Errc::kCorrupt "bad_recipe" naming the field. `path` stands before field names in messages.
Result<Recipe> RecipeFromJson(const nlohmann::json& value, std::string_view path);

// A shape as JSON array.
nlohmann::json ShapeToJson(const std::vector<uint64_t>& shape);

}  // namespace signum
