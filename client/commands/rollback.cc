#include <CLI/CLI.hpp>

#include "client/commands/live_alias.h"

namespace signum::client {

namespace {

Result<void> Run(const CommandContext& context, const std::string& model) {
  SIGNUM_ASSIGN(const ModelRef ref, ModelRef::ParseModel(model));
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const Alias live, registry->GetAlias(ref.tenant, ref.model, "live"));
  if (live.previous == 0) {
    return Fail(
        Errc::kConflict, "no_previous_version",
        model + ": live never pointed at another version than " + std::to_string(live.version));
  }
  return MoveLive(context, *registry, ref, live, live.previous);
}

}  // namespace

CommandRun AddRollback(CLI::App& app, const CommandContext& context) {
  auto model = std::make_shared<std::string>();
  app.add_option("TENANT/MODEL", *model, "The model")->required();
  return [&context, model] { return Run(context, *model); };
}

}  // namespace signum::client
