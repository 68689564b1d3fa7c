#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"

namespace signum::client {

namespace {

using nlohmann::json;

struct Options {
  bool dry_run = false;
};

void PrintReport(const json& result) {
  const bool dry_run = result.value("dry_run", false);
  for (const json& version : result.value("versions", json::array())) {
    PrintText(JsonCell(version, "version") + ": " + JsonCell(version, "why") + "\n");
  }
  for (const json& name : result.value("exact_dropped", json::array())) {
    PrintText(name.get<std::string>() + ": exact upload, policy keep_exact\n");
  }
  if (dry_run) {
    Table table({"OBJECT", "SIZE", "GOES", "WHY"});
    for (const json& object : result.value("objects", json::array())) {
      table.Add({JsonCell(object, "object"), HumanBytes(JsonNumberOr(object, "bytes", 0)),
                 object.value("goes", false) ? "now" : "later", JsonCell(object, "why")});
    }
    PrintText(table.Format());
  }
  const json removed = result.value("removed", json::object());
  const json waiting = result.value("waiting", json::object());
  PrintText(JsonCell(removed, "objects") +
            (dry_run ? " objects would go (" : " objects removed (") +
            HumanBytes(JsonNumberOr(removed, "bytes", 0)) + "), " + JsonCell(waiting, "objects") +
            " in their grace (" + HumanBytes(JsonNumberOr(waiting, "bytes", 0)) + "), " +
            JsonCell(result, "live") + " in use\n");
}

Result<void> Run(const CommandContext& context, const Options& options) {
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const json result, RunMaintenance(*registry, "gc", {{"dry_run", options.dry_run}}));
  context.json ? PrintJson(result) : PrintReport(result);
  return {};
}

}  // namespace

CommandRun AddGc(CLI::App& app, const CommandContext& context) {
  auto options = std::make_shared<Options>();
  app.add_flag("--dry-run", options->dry_run, "Remove nothing; list what would go, and why");
  return [&context, options] { return Run(context, *options); };
}

}  // namespace signum::client
