#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"
#include "client/commands/live_alias.h"
#include "client/model_ref.h"

namespace signum::client {

namespace {

struct Options {
  std::string model, version;
};

Result<void> Run(const CommandContext& context, const Options& options) {
  SIGNUM_ASSIGN(const ModelRef ref, ModelRef::ParseModel(options.model));
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const nlohmann::json version,
                registry->GetVersion(ref.tenant, ref.model, options.version));
  SIGNUM_ASSIGN(const uint64_t number, JsonNumber(version, "version"));
  SIGNUM_ASSIGN(const Alias live, ReadLive(*registry, ref));
  return MoveLive(context, *registry, ref, live, number);
}

}  // namespace

CommandRun AddPromote(CLI::App& app, const CommandContext& context) {
  auto options = std::make_shared<Options>();
  app.add_option("TENANT/MODEL", options->model, "The model")->required();
  app.add_option("V", options->version, "The version to run: a number or an alias")->required();
  return [&context, options] { return Run(context, *options); };
}

}  // namespace signum::client
