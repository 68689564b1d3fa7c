#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"

namespace signum::client {

namespace {

using nlohmann::json;

Result<void> List(const CommandContext& context) {
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const json list, registry->ListKeys());
  if (context.json) {
    PrintJson(list);
    return {};
  }
  SIGNUM_ASSIGN(const json* keys, JsonArray(list, "keys"));
  Table table({"ID", "PUBLIC", "CREATED", "RETIRED", "ENDORSED BY"});
  for (const json& key : *keys) {
    table.Add({JsonCell(key, "id"), JsonCell(key, "public"), JsonCell(key, "created"),
               JsonCell(key, "retired"), JsonCell(key, "endorsed_by")});
  }
  PrintText(table.Format());
  return {};
}

Result<void> Rotate(const CommandContext& context) {
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const json key, registry->RotateKey());
  if (context.json) {
    PrintJson(key);
  } else {
    PrintText("manifests are signed with " + JsonCell(key, "id") + " " + JsonCell(key, "public") +
              " from here on\n");
  }
  return {};
}

}  // namespace

CommandRun AddKeys(CLI::App& app, const CommandContext& context) {
  auto rotates = std::make_shared<bool>(false);
  CLI::App* rotate = app.add_subcommand("rotate", "Sign with a new key, endorsed by the old one");
  rotate->callback([rotates] { *rotates = true; });
  rotate->fallthrough();
  return [&context, rotates] { return *rotates ? Rotate(context) : List(context); };
}

}  // namespace signum::client
