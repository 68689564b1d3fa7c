#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"
#include "storage/base/name.h"

namespace signum::client {

namespace {

struct Options {
  std::string name, directory;
};

Result<void> Run(const CommandContext& context, const Options& options) {
  SIGNUM_TRY(CheckName("base", options.name));
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const std::string upload, UploadDirectory(*registry, options.directory));
  SIGNUM_ASSIGN(const nlohmann::json base, registry->CreateBase(options.name, upload));
  if (context.json) {
    PrintJson(base);
  } else {
    PrintText("base " + options.name + ": " + JsonCell(base, "parameters") + " parameters, " +
              JsonCell(base, "digest") + "\n");
  }
  return {};
}

}  // namespace

CommandRun AddPushBase(CLI::App& app, const CommandContext& context) {
  auto options = std::make_shared<Options>();
  app.add_option("NAME", options->name, "Name of the base")->required();
  app.add_option("DIR", options->directory, "Checkpoint directory")->required();
  return [&context, options] { return Run(context, *options); };
}

}  // namespace signum::client
