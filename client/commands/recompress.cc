#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"
#include "client/commands/version_request.h"

namespace signum::client {

namespace {

struct Options {
  std::string model, base;
  VersionRequest version;
};

Result<void> Run(const CommandContext& context, const Options& options) {
  SIGNUM_ASSIGN(const ModelRef ref, ModelRef::ParseModel(options.model));
  SIGNUM_ASSIGN(nlohmann::json body, options.version.Body());
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(
      const nlohmann::json source,
      registry->GetVersion(ref.tenant, ref.model, ref.version.empty() ? "live" : ref.version));
  SIGNUM_ASSIGN(const uint64_t number, JsonNumber(source, "version"));
  body["from_version"] = number;
  if (!options.base.empty()) body["base"] = options.base;
  return options.version.Create(context, *registry, ref, body);
}

}  // namespace

CommandRun AddRecompress(CLI::App& app, const CommandContext& context) {
  auto options = std::make_shared<Options>();
  app.add_option("TENANT/MODEL[@V]", options->model,
                 "The version whose exact upload is compressed again; default: the live one")
      ->required();
  app.add_option("--base", options->base, "Another base than that version's");
  options->version.AddOptions(app);
  return [&context, options] { return Run(context, *options); };
}

}  // namespace signum::client
