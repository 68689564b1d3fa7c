#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/commands/command.h"

namespace signum::client {

namespace {

using nlohmann::json;

constexpr const char* kReadOnly = "read-only";
constexpr const char* kReadWrite = "read-write";

Result<void> Run(const CommandContext& context, const std::string& wanted) {
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const json mode,
                wanted.empty() ? registry->GetMode() : registry->SetMode(wanted == kReadOnly));
  if (context.json) {
    PrintJson(mode);
  } else {
    PrintText(std::string(mode.value("read_only", false) ? kReadOnly : kReadWrite) + "\n");
  }
  return {};
}

}  // namespace

CommandRun AddMode(CLI::App& app, const CommandContext& context) {
  auto wanted = std::make_shared<std::string>();
  app.add_option("MODE", *wanted,
                 "read-only: changes are refused, no job begins; read-write; none shows which")
      ->check(CLI::IsMember({kReadOnly, kReadWrite}));
  return [&context, wanted] { return Run(context, *wanted); };
}

}  // namespace signum::client
