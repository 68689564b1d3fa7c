#include "storage/format/recipe.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "storage/format/canonical_json.h"
#include "tests/storage/format/sample_delta.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

using nlohmann::json;

auto Bad(const char* text) { return FailsWith(Errc::kCorrupt, "bad_recipe", text); }

// The sample recipe with one change at a JSON pointer; a null value removes the member.
std::string Changed(const std::string& pointer, const json& value) {
  json recipe = json::parse(MakeSampleRecipe().Serialize());
  const json::json_pointer at(pointer);
  if (value.is_null()) {
    recipe.at(at.parent_pointer()).erase(at.back());
  } else {
    recipe[at] = value;
  }
  return CanonicalJson(recipe);
}

TEST(Recipe, ComesBack) {
  const Recipe recipe = MakeSampleRecipe();
  EXPECT_EQ(Recipe::Parse(recipe.Serialize()).value(), recipe);
  EXPECT_EQ(Recipe::Parse(Recipe{}.Serialize()).value(), Recipe{});
}

TEST(Recipe, FindsFilesAndSumsThem) {
  const Recipe recipe = MakeSampleRecipe();
  EXPECT_EQ(recipe.TotalBytes(), recipe.files[0].size + 4000);
  EXPECT_EQ(recipe.Find("model.safetensors"), &recipe.files[1]);
  EXPECT_EQ(recipe.Find("model"), nullptr);
  EXPECT_EQ(recipe.Find("z"), nullptr);
}

TEST(Recipe, NamesTheBadField) {
  const std::tuple<const char*, json, const char*> changes[] = {
      {"/format", "signum.base", "format"},
      {"/version", 2, "version"},
      {"/files", json::object(), "files is not an array"},
      {"/files/0", 3, "files[0] is not an object"},
      {"/files/0/path", nullptr, "files[0].path is absent"},
      {"/files/0/path", "../etc/passwd", "files[0].path"},
      {"/files/0/path", "z", "files[1].path: files are not sorted"},
      {"/files/1/path", "config.json", "files[1].path: files are not sorted"},
      {"/files/0/size", -1, "files[0].size"},
      {"/files/0/size", 1.5, "files[0].size"},
      {"/files/0/size", "9", "files[0].size"},
      {"/files/0/size", uint64_t{1} << 54, "files[0].size"},
      {"/files/0/size", uint64_t{1} << 53, "files[1].size: over 2^53 in all"},
      {"/files/0/digest", "sha256:0", "files[0].digest"},
      {"/files/0/digest", std::string(64, '0'), "files[0].digest"},
      {"/files/1/header", 5, "files[1].header"},
      {"/files/1/header", nullptr, "unknown fields"},
      {"/files/1/header_size", 4001, "files[1].header_size"},
      {"/files/1/header_size", 9, "files[1].header_size"},
      {"/files/1/header_size", nullptr, "files[1].header_size is absent"},
      {"/files/1/tensors", nullptr, "files[1].tensors is absent"},
      {"/files/1/tensors/1", "x", "files[1].tensors"},
      {"/files/1/mode", 420, "unknown fields"}};
  for (const auto& [pointer, value, text] : changes) {
    EXPECT_THAT(Recipe::Parse(Changed(pointer, value)), Bad(text)) << pointer << " = " << value;
  }
}

TEST(Recipe, TakesOneSpellingOnly) {
  const std::string text = MakeSampleRecipe().Serialize();
  EXPECT_THAT(Recipe::Parse(text + " "), Bad("canonical"));
  EXPECT_THAT(Recipe::Parse("[]"), Bad("not an object"));
  EXPECT_THAT(Recipe::Parse("{"), Bad("JSON"));
}

TEST(BaseManifest, NamesTensorsAndNothingElse) {
  EXPECT_EQ(SerializeBaseManifest({{{"a", Dtype::kBF16, {2, 3}}, Sha256::Of({})}}),
            R"({"format":"signum.base","tensors":[{"digest":"sha256:)"
            R"(e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",)"
            R"("dtype":"BF16","name":"a","shape":[2,3]}],"version":1})");
}

}  // namespace
}  // namespace signum
