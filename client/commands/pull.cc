#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/commands/command.h"
#include "client/model_ref.h"
#include "client/pull.h"

namespace signum::client {

namespace {

struct Options {
  std::string model, output, key;
  std::string as = "delta";
  std::string fidelity = "onebit";
};

Result<std::vector<PulledFile>> PullOne(Registry& registry, const PullTarget& target,
                                        const Options& options,
                                        const std::filesystem::path& directory) {
  ProgressLine line("pull " + target.tenant + "/" + target.model + "@" +
                    std::to_string(target.version));
  const PullProgress progress = [&](std::string_view file, uint64_t done, uint64_t total) {
    line.Update(done, total, file);
  };
  if (options.as == "delta") return PullDelta(registry, target, directory, progress);
  return PullCheckpoint(registry, target, options.fidelity, directory, progress);
}

Result<void> Run(const CommandContext& context, const Options& options) {
  SIGNUM_ASSIGN(const ModelRef ref, ModelRef::Parse(options.model));
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const auto targets, ResolvePull(*registry, ref, options.key));
  nlohmann::json report = nlohmann::json::array();
  for (const PullTarget& target : targets) {
    SIGNUM_ASSIGN(const auto files,
                  PullOne(*registry, target, options,
                          PullDirectory(options.output, ref, target, options.as)));
    report.push_back(PulledToJson(target, files));
    if (context.json) continue;
    for (const PulledFile& file : files) {
      PrintText(file.path + "  " + HumanBytes(file.size) + "  " + file.digest.Text() + "\n");
    }
  }
  if (context.json) PrintJson({{"pulled", report}});
  return {};
}

}  // namespace

CommandRun AddPull(CLI::App& app, const CommandContext& context) {
  auto options = std::make_shared<Options>();
  app.add_option("TENANT[/MODEL[@V]]", options->model,
                 "Every live model of a tenant, or one version (default: the live one)")
      ->required();
  app.add_option("-o,--output", options->output, "Directory to write to")->required();
  app.add_option("--as", options->as, "delta (default) or checkpoint")
      ->check(CLI::IsMember({"delta", "checkpoint"}));
  app.add_option("--fidelity", options->fidelity,
                 "Of a checkpoint: onebit (default; base + delta) or exact (the upload)")
      ->check(CLI::IsMember({"onebit", "exact"}));
  app.add_option("--key", options->key,
                 "Public key (base64) manifests must be signed with; default: the registry's");
  return [&context, options] { return Run(context, *options); };
}

}  // namespace signum::client
