#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"

namespace signum::client {

namespace {

using nlohmann::json;

Result<void> Run(const CommandContext& context) {
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const json list, registry->ListNodes());
  if (context.json) {
    PrintJson(list);
    return {};
  }
  Table table({"NODE", "SEEN", "DEVICE", "MODEL", "VERSION", "STATE", "LIVE", "LAGS", "REASON"});
  for (const json& node : list.at("nodes")) {
    const std::vector<std::string> left = {JsonCell(node, "node"), JsonCell(node, "seen"),
                                           JsonCell(node, "device")};
    const json models = node.value("models", json::array());
    if (models.empty()) table.Add({left[0], left[1], left[2], "-", "-", "-", "-", "-", "-"});
    for (const json& model : models) {
      table.Add(
          {left[0], left[1], left[2], JsonCell(model, "tenant") + "/" + JsonCell(model, "model"),
           JsonCell(model, "version"), JsonCell(model, "state"), JsonCell(model, "live_version"),
           JsonCell(model, "lag"), JsonCell(model, "reason")});
    }
  }
  PrintText(table.Format());
  return {};
}

}  // namespace

CommandRun AddNodes(CLI::App&, const CommandContext& context) {
  return [&context] { return Run(context); };
}

}  // namespace signum::client
