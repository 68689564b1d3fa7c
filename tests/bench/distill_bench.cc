// Distils a fine-tune of the small family and measures it on held-out rows:
//   distill_bench BASE_DIR FINE_DIR EVAL_TOKENS [key=value...]
// Keys: scales, embeddings, method, layerwise (no: signs stay as they are), steps, batch, lr,
// col_lr, loss, seed, rows, tokens, calib (a file of token ids), precision (fp32, bf16, auto: of
// the CPU), threads, out. Prints one line.

#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <map>
#include <sstream>

#include "client/local_checkpoint.h"
#include "gpu/distill/distill.h"

namespace signum {
namespace {

TokenRows ReadTokens(const std::string& path) {
  TokenRows rows;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream in(line);
    int64_t n = 0;
    for (int32_t id = 0; in >> id; ++n) rows.ids.push_back(id);
    if (rows.tokens == 0) rows.tokens = n;
  }
  return rows;
}

int Run(int argc, char** argv) {
  std::map<std::string, std::string> keys;
  for (int i = 4; i < argc; ++i) {
    const std::string arg = argv[i];
    const size_t at = arg.find('=');
    keys[arg.substr(0, at)] = arg.substr(at + 1);
  }
  const auto text = [&](const std::string& key, const std::string& fallback) {
    return keys.contains(key) ? keys[key] : fallback;
  };
  const auto number = [&](const std::string& key, double fallback) {
    return keys.contains(key) ? std::stod(keys[key]) : fallback;
  };
  const auto base = *client::LocalCheckpoint::Open(argv[1], {});
  const auto fine = *client::LocalCheckpoint::Open(argv[2], {});
  CompressOptions compress;
  compress.scales = *ScaleKindFromName(text("scales", "row+col"));
  compress.exact_embeddings = text("embeddings", "onebit") == "exact";
  const std::string made = text("out", "/tmp/distill_bench.delta");
  MakeDeltaOptions make;
  make.compress = compress;
  DistillOptions& options = make.distill;
  options.method = *MethodFromName(text("method", "distill"));
  options.layerwise_first = text("layerwise", "yes") != "no";
  options.train.steps = static_cast<int64_t>(number("steps", 200));
  options.train.batch = static_cast<int64_t>(number("batch", 4));
  options.train.learning_rate = number("lr", options.train.learning_rate);
  options.train.column_rate = number("col_lr", options.train.column_rate);
  options.train.loss = text("loss", "mse") == "kl" ? ops::Loss::kKl : ops::Loss::kMse;
  options.train.seed = static_cast<uint64_t>(number("seed", 0));
  options.calibration_rows = static_cast<int64_t>(number("rows", 200));
  options.row_tokens = static_cast<int64_t>(number("tokens", 128));
  options.threads = static_cast<int>(number("threads", 0));
  const std::string precision = text("precision", "fp32");
  make.backend.cpu_precision = precision == "bf16"   ? ops::MatMulPrecision::kBf16
                               : precision == "auto" ? ops::MatMulPrecision::kAuto
                                                     : ops::MatMulPrecision::kFp32;
  compress.device = "cpu";
  make.compress = compress;
  if (keys.contains("calib")) options.calibration = ReadTokens(keys["calib"]);
  const auto begin = std::chrono::steady_clock::now();
  double rate = 0;
  const auto report =
      client::DiffCheckpoints(*base, *fine, make, made, [&](const MakeDeltaProgress& progress) {
        if (progress.phase == "distill") rate = progress.distill.steps_per_second;
        return true;
      });
  if (!report) return std::cerr << report.error().message << "\n", 1;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  const auto backend = ops::MakeCpuBackend();
  const DeltaModels models = client::ModelsOf(*base, *fine);
  const auto held_out =
      EvaluateDelta(*backend, models, *client::OpenDeltaFile(made), ReadTokens(argv[3]), 0, 0, {});
  if (!held_out) return std::cerr << held_out.error().message << "\n", 1;
  std::printf(
      "mse %.5f kl %.5f top1 %.4f ppl %.3f/%.3f/%.3f | own mse %.5f kl %.5f | %.1f s, %.2f "
      "steps/s\n",
      held_out->logit_mse, held_out->kl, held_out->top1, held_out->perplexity_base.value_or(0),
      held_out->perplexity_fine, held_out->perplexity_delta, report->distilled->fidelity.logit_mse,
      report->distilled->fidelity.kl, took.count(), rate);
  return 0;
}

}  // namespace
}  // namespace signum

int main(int argc, char** argv) { return argc < 4 ? 2 : signum::Run(argc, argv); }
