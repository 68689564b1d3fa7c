#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <vector>

#include "client/commands/command.h"

namespace signum::client {
namespace {

using ::testing::HasSubstr;

struct Outcome {
  int code;
  std::string out, err;
};

Outcome RunSignum(std::vector<const char*> arguments) {
  arguments.insert(arguments.begin(), "signum");
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  Outcome outcome{RunCommandLine(static_cast<int>(arguments.size()), arguments.data()), {}, {}};
  outcome.out = testing::internal::GetCapturedStdout();
  outcome.err = testing::internal::GetCapturedStderr();
  return outcome;
}

TEST(CommandLineTest, HelpAndVersionSucceed) {
  const Outcome help = RunSignum({"--help"});
  EXPECT_EQ(help.code, 0);
  for (const Command& command : Commands()) EXPECT_THAT(help.out, HasSubstr(command.name));
  EXPECT_THAT(help.out, HasSubstr("Exit codes"));
  const Outcome version = RunSignum({"--version"});
  EXPECT_EQ(version.code, 0);
  EXPECT_THAT(version.out, HasSubstr("signum 0."));
}

TEST(CommandLineTest, EveryCommandHasHelp) {
  for (const Command& command : Commands()) {
    const Outcome help = RunSignum({command.name, "--help"});
    EXPECT_EQ(help.code, 0) << command.name;
    EXPECT_THAT(help.out, HasSubstr(command.summary));
  }
}

TEST(CommandLineTest, UsageErrorsAreTwo) {
  const std::vector<std::vector<const char*>> kCases = {
      {},
      {"frobnicate"},
      {"pull"},
      {"pull", "acme"},  // no -o
      {"pull", "acme", "-o", "x", "--as", "zip"},
      {"push", "acme/chat", "dir"},  // no --base
      {"recompress"},
      {"recompress", "acme/chat@1", "--scales", "columns"},
      {"token"},
      {"token", "create", "king"},
      {"tenant"},
      {"tenant", "set", "acme"},  // nothing to set
      {"tenant", "set", "acme", "--max-bytes", "-1"},
      {"tenant", "set", "acme", "--max-bytes", "many"},
      {"tenant", "set", "acme", "--max-jobs", "1.5"},
      {"tenant", "set", "acme", "--requests", "-2"},
      {"tenant", "set", "acme", "--requests", "nan"},
      {"mode", "sideways"},
      {"diff", "a", "b", "-o", "c", "--scales", "columns"},
      {"eval", "a", "b"},
      {"diff", "a", "b", "-o", "c", "--method", "magic"},
      {"diff", "a", "b", "-o", "c", "--steps", "0"},
      {"gc"},
      {"ls", "--no-such-flag"}};
  for (const auto& arguments : kCases) {
    const Outcome outcome = RunSignum(arguments);
    EXPECT_EQ(outcome.code, 2) << (arguments.empty() ? "(none)" : arguments[0]);
    EXPECT_NE(outcome.err, "");
  }
}

TEST(CommandLineTest, NeedsARegistry) {
  ::unsetenv("SIGNUM_REGISTRY");
  const Outcome outcome = RunSignum({"ls"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.err, HasSubstr("SIGNUM_REGISTRY"));
}

TEST(CommandLineTest, BadNamesAreUsage) {
  EXPECT_EQ(RunSignum({"show", "Acme/x", "--registry", "http://127.0.0.1:1"}).code, 2);
  EXPECT_EQ(RunSignum({"rollback", "acme", "--registry", "http://127.0.0.1:1"}).code, 2);
  EXPECT_EQ(RunSignum({"ls", "--registry", "http//"}).code, 2);
}

TEST(CommandLineTest, MissingFilesAreNotFoundAndErrorsAreJsonToo) {
  const Outcome outcome = RunSignum({"verify", "/no/such/file.safetensors", "--json"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.out, HasSubstr("\"no_such_file\""));
  EXPECT_THAT(outcome.err, HasSubstr("/no/such/file.safetensors"));
}

}  // namespace
}  // namespace signum::client
