#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/commands/command.h"
#include "client/local_checkpoint.h"

namespace signum::client {

namespace {

struct Options {
  std::string base, delta, output;
};

Result<void> Run(const CommandContext& context, const Options& options) {
  SIGNUM_ASSIGN(const auto delta, OpenDeltaFile(options.delta));
  SIGNUM_ASSIGN(const auto base, LocalCheckpoint::Open(options.base, {}));
  const uint64_t total = delta->recipe().TotalBytes();
  {
    ProgressLine line("rebuild");
    SIGNUM_TRY(ApplyDelta(*base, delta, options.output, [&](uint64_t done) {
      line.Update(done, total, HumanBytes(done));
      return true;
    }));
  }
  nlohmann::json report = {{"directory", options.output}, {"files", nlohmann::json::array()}};
  for (const RecipeFile& file : delta->recipe().files) {
    report["files"].push_back({{"path", file.path}, {"size", file.size}});
  }
  if (context.json) {
    PrintJson(report);
  } else {
    PrintText(options.output + ": " + std::to_string(delta->recipe().files.size()) + " files, " +
              HumanBytes(total) + "\n");
  }
  return {};
}

}  // namespace

CommandRun AddApply(CLI::App& app, const CommandContext& context) {
  auto options = std::make_shared<Options>();
  app.add_option("BASE_DIR", options->base, "Checkpoint directory of the base")->required();
  app.add_option("FILE", options->delta, "Delta file")->required();
  app.add_option("-o,--output", options->output, "Directory to write the fine-tune to")->required();
  return [&context, options] { return Run(context, *options); };
}

}  // namespace signum::client
