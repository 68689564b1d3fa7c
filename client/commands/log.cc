#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"

namespace signum::client {

namespace {

using nlohmann::json;

Result<void> Run(const CommandContext& context) {
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const json list, registry->AuditLog());
  if (context.json) {
    PrintJson(list);
    return {};
  }
  Table table({"SEQ", "AT", "WHO", "ACTION", "TARGET", "FROM", "RESULT"});
  for (const json& entry : list.at("entries")) {
    table.Add({JsonCell(entry, "seq"), JsonCell(entry, "at"), JsonCell(entry, "who"),
               JsonCell(entry, "action"), JsonCell(entry, "target"), JsonCell(entry, "from"),
               JsonCell(entry, "result")});
  }
  PrintText(table.Format());
  return {};
}

}  // namespace

CommandRun AddLog(CLI::App&, const CommandContext& context) {
  return [&context] { return Run(context); };
}

}  // namespace signum::client
