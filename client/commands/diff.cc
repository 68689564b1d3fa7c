#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/commands/command.h"
#include "client/local_checkpoint.h"

namespace signum::client {

namespace {

struct Options {
  std::string base, fine, output;
  std::string codec = "sign1";
  std::string scales = "row+col";
  std::string embeddings = "onebit";
  std::string method = "none";
  std::string device = "auto";
  int threads = 0;
};

Result<CompressOptions> Choose(const Options& options) {
  SIGNUM_TRY(CheckMethod(options.method));
  CompressOptions out;
  const auto codec = CodecFromName(options.codec);
  const auto scales = ScaleKindFromName(options.scales);
  if (!codec || !scales) {
    return Fail(Errc::kInvalid, "bad_option",
                "unknown " + (codec ? "--scales " + options.scales : "--codec " + options.codec));
  }
  out.codec = *codec;
  out.scales = *scales;
  out.exact_embeddings = options.embeddings == "exact";
  out.device = options.device;
  out.threads = options.threads;
  return out;
}

nlohmann::json Describe(const Options& options, const LocalCheckpoint& base,
                        const LocalCheckpoint& fine, const CompressSummary& summary) {
  const double weights = static_cast<double>(summary.linear_weights);
  return {{"file", options.output},
          {"digest", summary.sealed.digest.Text()},
          {"size", summary.sealed.size},
          {"base_digest", base.base_digest().Text()},
          {"upload", fine.recipe().TotalBytes()},
          {"ratio", static_cast<double>(fine.recipe().TotalBytes()) /
                        static_cast<double>(summary.sealed.size)},
          {"linear",
           {{"weights", summary.linear_weights},
            {"bytes", summary.linear_bytes},
            {"bits_per_weight",
             weights > 0 ? 8.0 * static_cast<double>(summary.linear_bytes) / weights : 0.0}}}};
}

Result<std::shared_ptr<const LocalCheckpoint>> Open(const std::string& directory,
                                                    const std::string& label) {
  ProgressLine line(label);
  return LocalCheckpoint::Open(directory, [&](uint64_t done, uint64_t total) {
    line.Update(done, total, HumanBytes(done));
  });
}

Result<void> Run(const CommandContext& context, const Options& options) {
  SIGNUM_ASSIGN(const CompressOptions chosen, Choose(options));
  SIGNUM_ASSIGN(const auto base, Open(options.base, "hash base"));
  SIGNUM_ASSIGN(const auto fine, Open(options.fine, "hash fine-tune"));
  ProgressLine line("compress");
  SIGNUM_ASSIGN(
      const CompressSummary summary,
      DiffCheckpoints(*base, *fine, chosen, options.output, [&](const CompressProgress& progress) {
        line.Update(progress.bytes_done, progress.bytes_total, progress.tensor);
        return true;
      }));
  const nlohmann::json report = Describe(options, *base, *fine, summary);
  if (context.json) {
    PrintJson(report);
  } else {
    PrintText(options.output + ": " + HumanBytes(fine->recipe().TotalBytes()) + " became " +
              HumanBytes(summary.sealed.size) + " (" + Fixed(report["ratio"], 2) + "x), " +
              Fixed(report["linear"]["bits_per_weight"], 3) + " bits a linear weight, " +
              summary.sealed.digest.Text() + "\n");
  }
  return {};
}

}  // namespace

CommandRun AddDiff(CLI::App& app, const CommandContext& context) {
  auto options = std::make_shared<Options>();
  app.add_option("BASE_DIR", options->base, "Checkpoint directory of the base")->required();
  app.add_option("FINE_DIR", options->fine, "Checkpoint directory of the fine-tune")->required();
  app.add_option("-o,--output", options->output, "Delta file to write")->required();
  app.add_option("--codec", options->codec, "Codec of linear weights: sign1 (default) or raw")
      ->check(CLI::IsMember({"sign1", "raw"}));
  app.add_option("--scales", options->scales, "tensor, row or row+col (default)")
      ->check(CLI::IsMember({"tensor", "row", "row+col"}));
  app.add_option("--embeddings", options->embeddings, "onebit (default) or exact")
      ->check(CLI::IsMember({"onebit", "exact"}));
  app.add_option("--method", options->method, "none: least-squares scales (the only one so far)");
  app.add_option("--device", options->device, "auto (default) or cpu");
  app.add_option("--threads", options->threads, "Threads; 0 (default): one a core");
  return [&context, options] { return Run(context, *options); };
}

}  // namespace signum::client
