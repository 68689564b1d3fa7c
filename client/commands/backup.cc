#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"

namespace signum::client {

namespace {

using nlohmann::json;

struct Options {
  std::string dir;
  uint64_t keep = 0;
};

Result<void> Run(const CommandContext& context, const Options& options) {
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  json request = {{"dir", options.dir}};
  if (options.keep > 0) request["keep"] = options.keep;
  SIGNUM_ASSIGN(const json result, RunMaintenance(*registry, "backup", request));
  if (context.json) {
    PrintJson(result);
    return {};
  }
  PrintText("backup " + JsonCell(result, "id") + " in " + JsonCell(result, "dir") + ": " +
            HumanBytes(JsonNumberOr(result, "bytes", 0)) + ", of which " +
            HumanBytes(JsonNumberOr(result, "added_bytes", 0)) + " are new\n");
  return {};
}

}  // namespace

CommandRun AddBackup(CLI::App& app, const CommandContext& context) {
  auto options = std::make_shared<Options>();
  app.add_option("DIR", options->dir, "Directory of the server, below its --backup-dir")
      ->required();
  app.add_option("--keep", options->keep, "Remove all but so many of the newest backups there");
  return [&context, options] { return Run(context, *options); };
}

}  // namespace signum::client
