#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "client/commands/command.h"
#include "client/distill_input.h"
#include "client/local_checkpoint.h"
#include "gpu/cuda_module.h"
#include "gpu/distill/report_json.h"

namespace signum::client {

namespace {

struct Options {
  std::string base, fine, delta;
  std::string text, tokens;
  int64_t row_tokens = 129;
  int threads = 0;
  std::string device = "auto";
};

std::string FormatFidelity(const nlohmann::json& report) {
  const auto& perplexity = report["perplexity"];
  Table table({"LOGIT MSE", "KL", "TOP-1", "PERPLEXITY BASE", "FINE", "DELTA"});
  table.Add({Fixed(report["logit_mse"], 5), Fixed(report["kl"], 5), Fixed(report["top1"], 4),
             perplexity["base"].is_null() ? "" : Fixed(perplexity["base"], 3),
             Fixed(perplexity["fine"], 3), Fixed(perplexity["delta"], 3)});
  return table.Format();
}

Result<TokenRows> ReadRows(const Options& options, const LocalCheckpoint& fine) {
  if (!options.tokens.empty()) return ReadTokenFile(options.tokens);
  return ReadTextFile(options.text, *fine.checkpoint(), options.row_tokens);
}

Result<void> Run(const CommandContext& context, const Options& options) {
  SIGNUM_ASSIGN(const auto delta, OpenDeltaFile(options.delta));
  SIGNUM_ASSIGN(const auto base, LocalCheckpoint::Open(options.base, {}));
  SIGNUM_ASSIGN(const auto fine, LocalCheckpoint::OpenFineTune(options.fine, *base, {}));
  SIGNUM_ASSIGN(const TokenRows rows, ReadRows(options, *fine));
  CpuReason why;
  SIGNUM_ASSIGN(const auto backend, OpenBackendOrCpu(options.device, {}, &why));
  if (why.unexpected) std::fprintf(stderr, "signum: %s\n", why.text.c_str());
  ProgressLine line("evaluate");
  const auto step = [&](const DistillProgress& progress) {
    line.Update(static_cast<uint64_t>(progress.done * 1000), 1000, "");
    return true;
  };
  SIGNUM_ASSIGN(const Fidelity fidelity, EvaluateDelta(*backend, ModelsOf(*base, *fine), delta,
                                                       rows, options.threads, 0, step));
  const nlohmann::json report = FidelityJson(fidelity);
  if (context.json) {
    PrintJson(report);
  } else {
    PrintText(FormatFidelity(report));
  }
  return {};
}

}  // namespace

CommandRun AddEval(CLI::App& app, const CommandContext& context) {
  auto options = std::make_shared<Options>();
  app.add_option("BASE_DIR", options->base, "Checkpoint directory of the base")->required();
  app.add_option("FINE_DIR", options->fine, "Checkpoint directory of the fine-tune")->required();
  app.add_option("FILE", options->delta, "Delta file")->required();
  auto* text =
      app.add_option("--text", options->text, "Held-out text, read with the fine-tune's tokenizer");
  auto* tokens = app.add_option("--tokens", options->tokens,
                                "Held-out token ids, one row a line: input is all but the last, "
                                "target all but the first");
  text->excludes(tokens);
  app.add_option("--row-tokens", options->row_tokens, "Tokens a row of text (129)")
      ->check(CLI::Range(2, 1 << 20));
  app.add_option("--device", options->device, "auto (default), cpu or cuda:N");
  app.add_option("--threads", options->threads, "Threads (0: one a core)")
      ->check(CLI::Range(0, 1024));
  return [&context, options]() -> Result<void> {
    if (options->text.empty() && options->tokens.empty()) {
      return Fail(Errc::kInvalid, "bad_option", "what to evaluate on? Give --text or --tokens");
    }
    return Run(context, *options);
  };
}

}  // namespace signum::client
