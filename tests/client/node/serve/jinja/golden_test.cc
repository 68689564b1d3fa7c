// Against Python's jinja2 (tests/data/golden/make_jinja.py).

#include <gtest/gtest.h>

#include "storage/base/file.h"
#include "tests/client/node/serve/jinja/jinja_support.h"

namespace signum::client::jinja {
namespace {

using nlohmann::ordered_json;

std::string Read(const std::string& name) {
  const std::string folder = std::string(SIGNUM_TEST_DATA) + "/golden/jinja/";
  return ReadFile(folder + name, 1 << 20).value();
}

const ordered_json& Cases() {
  static const ordered_json cases = ordered_json::parse(Read("cases.json"));
  return cases;
}

// null where it is refused or fails.
ordered_json Rendered(const std::string& source, const Variables& variables) {
  const Result<Text> text = RenderText(source, variables);
  return text ? ordered_json(text->bytes()) : ordered_json();
}

TEST(JinjaGolden, ConstructsAreWhatPythonMakesOfThem) {
  const Variables variables = VariablesOf(Cases()["variables"]);
  ASSERT_GT(Cases()["constructs"].size(), 400u);
  for (const auto& item : Cases()["constructs"]) {
    EXPECT_EQ(Rendered(item[0].get<std::string>(), variables), item[1]) << item[0];
  }
}

// The same with texts that come from outside: what is made of them is the same.
TEST(JinjaGolden, TaintChangesNoText) {
  const Variables variables = VariablesOf(Cases()["variables"], true);
  for (const auto& item : Cases()["constructs"]) {
    EXPECT_EQ(Rendered(item[0].get<std::string>(), variables), item[1]) << item[0];
  }
}

TEST(JinjaGolden, TemplatesInTheStyleOfEachFamily) {
  ASSERT_EQ(Cases()["templates"].size(), 10u);
  for (const auto& [name, expected] : Cases()["templates"].items()) {
    const std::string source = Read(name + ".jinja");
    for (size_t i = 0; i < expected.size(); ++i) {
      for (const bool asked : {true, false}) {
        const ordered_json variables{{"messages", Cases()["conversations"][i]},
                                     {"add_generation_prompt", asked},
                                     {"tools", nullptr},
                                     {"documents", nullptr},
                                     {"bos_token", "<s>"},
                                     {"eos_token", "</s>"}};
        EXPECT_EQ(Rendered(source, VariablesOf(variables)), expected[i][asked ? 0 : 1])
            << name << ", conversation " << i;
      }
    }
  }
}

}  // namespace
}  // namespace signum::client::jinja
