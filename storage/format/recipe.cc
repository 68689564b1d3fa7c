#include "storage/format/recipe.h"

#include <algorithm>

#include "storage/base/name.h"
#include "storage/format/canonical_json.h"
#include "storage/format/json_fields.h"
#include "storage/format/recipe_json.h"

namespace signum {

namespace {

using nlohmann::json;

constexpr const char* kRecipeFormat = "signum.recipe";
constexpr const char* kBaseFormat = "signum.base";

json FileToJson(const RecipeFile& file) {
  json out = {{"path", file.path}, {"size", file.size}, {"digest", file.digest.Text()}};
  if (!file.safetensors) return out;
  out["header"] = file.header.Text();
  out["header_size"] = file.header_size;
  json tensors = json::array();
  for (const Digest& digest : file.tensors) tensors.push_back(digest.Text());
  out["tensors"] = std::move(tensors);
  return out;
}

void ReadTensorDigests(JsonFields* fields, RecipeFile* file) {
  for (const json& text : fields->Array("tensors")) {
    if (!DigestFromJson(text, &file->tensors.emplace_back())) {
      return fields->Refuse(fields->PathOf("tensors") + " holds what is not a digest");
    }
  }
}

// The file, with what is wrong in `error`.
RecipeFile FileFromJson(const json& value, const std::string& path, std::string* error) {
  JsonFields fields(value, path);
  RecipeFile file;
  file.path = fields.String("path");
  file.size = fields.Unsigned("size");
  file.digest = fields.ReadDigest("digest");
  if (const auto checked = CheckFilePath(file.path); !checked && !fields.failed()) {
    fields.Refuse(fields.PathOf("path") + ": " + checked.error().message);
  }
  file.safetensors = fields.Has("header");
  if (file.safetensors) {
    file.header = fields.ReadDigest("header");
    file.header_size = fields.Unsigned("header_size");
    ReadTensorDigests(&fields, &file);
    if (file.header_size < 10 || file.header_size > file.size) {
      fields.Refuse(fields.PathOf("header_size") + " does not fit the file's size");
    }
  }
  *error = fields.error();
  return file;
}

}  // namespace

json ShapeToJson(const std::vector<uint64_t>& shape) {
  json out = json::array();
  for (uint64_t dimension : shape) out.push_back(dimension);
  return out;
}

json RecipeToJson(const Recipe& recipe) {
  json files = json::array();
  for (const RecipeFile& file : recipe.files) files.push_back(FileToJson(file));
  return {{"format", kRecipeFormat}, {"version", 1}, {"files", std::move(files)}};
}

Result<Recipe> RecipeFromJson(const json& value, std::string_view path) {
  JsonFields fields(value, std::string(path));
  fields.Expect("format", kRecipeFormat);
  fields.Expect("version", 1);
  Recipe recipe;
  uint64_t total = 0;
  for (const json& element : fields.Array("files")) {
    const std::string where =
        fields.PathOf("files") + "[" + std::to_string(recipe.files.size()) + "]";
    std::string error;
    RecipeFile file = FileFromJson(element, where, &error);
    total += file.size;  // each at most 2^53, so this can't wrap before it is seen
    if (error.empty() && total > uint64_t{1} << 53) error = where + ".size: over 2^53 in all";
    if (error.empty() && !recipe.files.empty() && recipe.files.back().path >= file.path) {
      error = where + ".path: files are not sorted by path";
    }
    if (!error.empty()) fields.Refuse(error);
    if (fields.failed()) break;
    recipe.files.push_back(std::move(file));
  }
  if (fields.failed()) return Fail(Errc::kCorrupt, "bad_recipe", "recipe: " + fields.error());
  return recipe;
}

uint64_t Recipe::TotalBytes() const {
  uint64_t total = 0;
  for (const RecipeFile& file : files) total += file.size;
  return total;
}

const RecipeFile* Recipe::Find(std::string_view path) const {
  const auto at =
      std::lower_bound(files.begin(), files.end(), path,
                       [](const RecipeFile& f, std::string_view p) { return f.path < p; });
  return at != files.end() && at->path == path ? &*at : nullptr;
}

std::string Recipe::Serialize() const { return CanonicalJson(RecipeToJson(*this)); }

Result<Recipe> Recipe::Parse(std::string_view text) {
  Result<json> value = ParseJson(text);
  if (!value) return Fail(Errc::kCorrupt, "bad_recipe", "recipe: " + value.error().message);
  SIGNUM_ASSIGN(Recipe recipe, RecipeFromJson(*value, ""));
  if (recipe.Serialize() != text) {  // one spelling, so that the digest names the content
    return Fail(Errc::kCorrupt, "bad_recipe", "recipe: not in canonical form or unknown fields");
  }
  return recipe;
}

std::string SerializeBaseManifest(const std::vector<BaseTensor>& tensors) {
  json table = json::array();
  for (const BaseTensor& tensor : tensors) {
    table.push_back({{"name", tensor.info.name},
                     {"dtype", DtypeName(tensor.info.dtype)},
                     {"shape", ShapeToJson(tensor.info.shape)},
                     {"digest", tensor.digest.Text()}});
  }
  return CanonicalJson({{"format", kBaseFormat}, {"version", 1}, {"tensors", std::move(table)}});
}

}  // namespace signum
