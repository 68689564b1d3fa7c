#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <optional>

#include "client/answer_fields.h"
#include "client/commands/command.h"
#include "client/distill_input.h"
#include "client/model_ref.h"
#include "storage/base/file.h"
#include "storage/format/delta_file.h"

namespace signum::client {

namespace {

// A request carries no more; the registry has its own limit too.
constexpr uint64_t kMaxCalibrationBytes = uint64_t{1} << 20;

struct Options {
  std::string model, directory, base, codec, scales, embeddings, budget;
  int planes = 1;
  std::string method, calibration, loss;
  std::optional<int64_t> steps;
  std::optional<uint64_t> seed;
  std::optional<double> max_kl, min_top1;
  bool wait = false;
  bool no_keep_exact = false;
};

// What "distill" of a version's request says. The registry reads text with the upload's tokenizer.
Result<void> AddDistillation(const Options& options, nlohmann::json& distill) {
  if (options.steps) distill["steps"] = *options.steps;
  if (options.seed) distill["seed"] = *options.seed;
  if (!options.loss.empty()) distill["loss"] = options.loss;
  if (options.calibration.empty() || options.calibration == "self") return {};
  SIGNUM_ASSIGN(std::string text, ReadFile(options.calibration, kMaxCalibrationBytes));
  const char* kind = IsTokenFile(options.calibration) ? "tokens" : "text";
  distill["calibration"] = {{kind, std::move(text)}};
  return {};
}

nlohmann::json Spec(const Options& options, const std::string& upload, nlohmann::json distill) {
  nlohmann::json spec = {{"upload", upload}, {"base", options.base}};
  if (!options.method.empty()) spec["method"] = options.method;
  if (!distill.empty()) spec["distill"] = std::move(distill);
  if (options.max_kl) spec["gate"]["max_kl"] = *options.max_kl;
  if (options.min_top1) spec["gate"]["min_top1"] = *options.min_top1;
  if (!options.codec.empty()) spec["codec"] = options.codec;
  if (!options.scales.empty()) spec["scales"] = options.scales;
  if (options.planes != 1) spec["planes"] = options.planes;
  if (!options.budget.empty()) spec["budget"] = options.budget;
  if (!options.embeddings.empty()) spec["embeddings"] = options.embeddings;
  if (options.no_keep_exact) spec["keep_exact"] = false;
  return spec;
}

std::string Summary(const std::string& name, const nlohmann::json& version) {
  const nlohmann::json sizes = version.value("sizes", nlohmann::json::object());
  return name + "@" + JsonCell(version, "version") + " " + JsonCell(version, "state") + ": " +
         HumanBytes(JsonNumberOr(sizes, "upload", 0)) + " became " +
         HumanBytes(JsonNumberOr(sizes, "delta", 0)) + " (" +
         Fixed(JsonRealOr(version, "ratio", 0), 2) + "x), " + JsonCell(version, "digest") + "\n" +
         FidelityLine(version);
}

Result<void> Run(const CommandContext& context, const Options& options) {
  SIGNUM_ASSIGN(const ModelRef ref, ModelRef::ParseModel(options.model));
  if (!options.codec.empty() && !CodecFromName(options.codec)) {
    return Fail(Errc::kInvalid, "bad_option", "unknown --codec " + options.codec);
  }
  nlohmann::json distill = nlohmann::json::object();
  SIGNUM_TRY(AddDistillation(options, distill));
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const std::string upload, UploadDirectory(*registry, options.directory));
  SIGNUM_ASSIGN(
      nlohmann::json created,
      registry->CreateVersion(ref.tenant, ref.model, Spec(options, upload, std::move(distill))));
  SIGNUM_ASSIGN(const uint64_t version, JsonNumber(created, "version"));
  SIGNUM_ASSIGN(const std::string job, JsonString(created, "job"));
  if (!options.wait) {
    if (context.json) {
      PrintJson(created);
    } else {
      PrintText(options.model + "@" + std::to_string(version) + " queued as job " + job +
                " (signum jobs -f " + job + ")\n");
    }
    return {};
  }
  SIGNUM_TRY(WaitForJob(*registry, job));
  SIGNUM_ASSIGN(const nlohmann::json ready,
                registry->GetVersion(ref.tenant, ref.model, std::to_string(version)));
  if (context.json) {
    PrintJson(ready);
  } else {
    PrintText(Summary(options.model, ready));
  }
  if (JsonCell(ready, "state") != "rejected") return {};
  return Fail(Errc::kPrecondition, "gate_failed",
              options.model + "@" + std::to_string(version) +
                  " was rejected: " + JsonCell(ready["error"], "message"));
}

}  // namespace

CommandRun AddPush(CLI::App& app, const CommandContext& context) {
  auto options = std::make_shared<Options>();
  app.add_option("TENANT/MODEL", options->model, "What to publish")->required();
  app.add_option("DIR", options->directory,
                 "Checkpoint directory of the fine-tune, or a PEFT LoRA adapter's")
      ->required();
  app.add_option("--base", options->base, "Name of the base it was tuned from")->required();
  app.add_flag("--wait", options->wait, "Wait until the delta is ready");
  app.add_option("--codec", options->codec,
                 "Codec of linear weights: sign1 (default), lowrank or raw");
  app.add_option("--scales", options->scales, "tensor, row or row+col (default)")
      ->check(CLI::IsMember({"tensor", "row", "row+col"}));
  app.add_option("--planes", options->planes, "Planes of signs, 1 (default) to 8");
  app.add_option("--budget", options->budget, "Largest size of the delta: bytes, or 12x");
  app.add_option("--embeddings", options->embeddings, "onebit (default) or exact")
      ->check(CLI::IsMember({"onebit", "exact"}));
  app.add_option("--method", options->method,
                 "distill (default): scales trained on logits; layerwise; none")
      ->check(CLI::IsMember({"distill", "layerwise", "none"}));
  app.add_option("--steps", options->steps, "Training steps (200)");
  app.add_option("--calibration", options->calibration,
                 "self (default): text the fine-tune writes; or a file of text, or of token ids "
                 "(*.tokens)");
  app.add_option("--loss", options->loss, "mse (default) or kl")
      ->check(CLI::IsMember({"mse", "kl"}));
  app.add_option("--seed", options->seed, "Of the calibration text and the order of its rows");
  app.add_option("--max-kl", options->max_kl, "Gate: reject the version above this KL (nats)");
  app.add_option("--min-top1", options->min_top1,
                 "Gate: reject it below this share of equal top tokens");
  app.add_flag("--no-keep-exact", options->no_keep_exact,
               "Keep only the delta, not the upload bit for bit");
  return [&context, options] { return Run(context, *options); };
}

}  // namespace signum::client
