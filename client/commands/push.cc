#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/commands/command.h"
#include "client/commands/version_request.h"

namespace signum::client {

namespace {

struct Options {
  std::string model, directory, base;
  VersionRequest version;
};

Result<void> Run(const CommandContext& context, const Options& options) {
  SIGNUM_ASSIGN(const ModelRef ref, ModelRef::ParseModel(options.model));
  SIGNUM_ASSIGN(nlohmann::json body, options.version.Body());
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(body["upload"], UploadDirectory(*registry, options.directory));
  body["base"] = options.base;
  return options.version.Create(context, *registry, ref, body);
}

}  // namespace

CommandRun AddPush(CLI::App& app, const CommandContext& context) {
  auto options = std::make_shared<Options>();
  app.add_option("TENANT/MODEL", options->model, "What to publish")->required();
  app.add_option("DIR", options->directory,
                 "Checkpoint directory of the fine-tune, or a PEFT LoRA adapter's")
      ->required();
  app.add_option("--base", options->base, "Name of the base it was tuned from")->required();
  options->version.AddOptions(app);
  return [&context, options] { return Run(context, *options); };
}

}  // namespace signum::client
