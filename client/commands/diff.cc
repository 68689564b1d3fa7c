#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "client/commands/command.h"
#include "client/distill_input.h"
#include "client/local_checkpoint.h"
#include "gpu/budget.h"
#include "gpu/distill/report_json.h"
#include "gpu/plan.h"

namespace signum::client {

namespace {

struct Options {
  std::string base, fine, output;
  std::string codec = "sign1";
  std::string scales = "row+col";
  std::string embeddings = "onebit";
  std::string method = "distill";
  std::string device = "auto";
  std::string precision = "fp32";
  int threads = 0;
  int64_t steps = 200;
  std::string calibration = "self";
  std::string loss = "mse";
  uint64_t seed = 0;
  std::string budget;
  int planes = 1;
  bool plan = false;
};

Result<CompressOptions> Choose(const Options& options) {
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
  out.planes = options.planes;
  if (!options.budget.empty()) SIGNUM_TRY(ReadBudget(options.budget, out));
  out.device = options.device;
  out.threads = options.threads;
  return out;
}

Result<DistillOptions> ChooseDistillation(const Options& options, const LocalCheckpoint& fine) {
  DistillOptions out;
  out.method = *MethodFromName(options.method);
  out.train.steps = options.steps;
  out.train.seed = options.seed;
  out.train.loss = *LossFromName(options.loss);
  out.threads = options.threads;
  if (options.calibration != "self") {
    SIGNUM_ASSIGN(out.calibration,
                  ReadCalibrationFile(options.calibration, *fine.checkpoint(), out.row_tokens + 1));
  }
  return out;
}

nlohmann::json Describe(const Options& options, const LocalCheckpoint& base,
                        const LocalCheckpoint& fine, const MadeDelta& made) {
  const CompressSummary& summary = made.summary;
  const double weights = static_cast<double>(summary.linear_weights);
  nlohmann::json out = {
      {"file", options.output},
      {"digest", summary.sealed.digest.Text()},
      {"size", summary.sealed.size},
      {"base_digest", base.base_digest().Text()},
      {"upload", fine.directory_bytes()},
      {"checkpoint", fine.recipe().TotalBytes()},
      {"ratio",
       static_cast<double>(fine.directory_bytes()) / static_cast<double>(summary.sealed.size)},
      {"linear",
       {{"weights", summary.linear_weights},
        {"bytes", summary.linear_bytes},
        {"bits_per_weight",
         weights > 0 ? 8.0 * static_cast<double>(summary.linear_bytes) / weights : 0.0}}}};
  if (!summary.choices.empty()) {
    out["choices"] = summary.choices;
    out["squared_error"] = summary.squared_error;
  }
  out["method"] = MethodName(made.method);
  if (!made.method_note.empty()) out["method_note"] = made.method_note;
  if (!made.device_note.empty()) out["device_note"] = made.device_note;
  if (made.distilled) out["fidelity"] = FidelityJson(made.distilled->fidelity);
  return out;
}

// A line of progress over the bytes hashed.
LocalCheckpoint::HashProgress HashLine(const std::string& label) {
  const auto line = std::make_shared<ProgressLine>(label);
  return [line](uint64_t done, uint64_t total) { line->Update(done, total, HumanBytes(done)); };
}

nlohmann::json DescribePlan(const DeltaPlan& plan) {
  nlohmann::json classes = nlohmann::json::array();
  for (const PlanClass& each : plan.classes) {
    classes.push_back({{"class", each.name},
                       {"tensors", each.tensors},
                       {"weights", each.weights},
                       {"fine", each.fine_bytes},
                       {"delta", each.delta_bytes}});
  }
  return {{"classes", std::move(classes)},
          {"upload", plan.upload},
          {"size", plan.size},
          {"ratio", plan.ratio()}};
}

std::string Ratio(uint64_t fine, uint64_t delta) {
  return delta == 0 ? "" : Fixed(static_cast<double>(fine) / static_cast<double>(delta), 2) + "x";
}

std::string FormatPlan(const DeltaPlan& plan) {
  Table table({"CLASS", "TENSORS", "WEIGHTS", "FINE-TUNE", "DELTA", "BITS/WEIGHT", "RATIO"});
  for (const PlanClass& each : plan.classes) {
    const double weights = static_cast<double>(each.weights);
    table.Add(
        {each.name, std::to_string(each.tensors), std::to_string(each.weights),
         HumanBytes(each.fine_bytes), HumanBytes(each.delta_bytes),
         each.weights == 0 ? "" : Fixed(8 * static_cast<double>(each.delta_bytes) / weights, 3),
         each.weights == 0 ? "" : Ratio(each.fine_bytes, each.delta_bytes)});
  }
  table.Add({"all", "", "", HumanBytes(plan.upload), HumanBytes(plan.size), "",
             Ratio(plan.upload, plan.size)});
  return table.Format();
}

// One progress line a phase.
class MakeDeltaLine {
 public:
  MakeDeltaCallback Callback() {
    return [this](const MakeDeltaProgress& progress) {
      if (line_ == nullptr || phase_ != progress.phase) {
        phase_ = progress.phase;
        line_.reset();
        line_ = std::make_unique<ProgressLine>(phase_);
      }
      line_->Update(static_cast<uint64_t>(progress.done * 1000), 1000, Note(progress));
      return true;
    };
  }

  void End() { line_.reset(); }

 private:
  static std::string Note(const MakeDeltaProgress& progress) {
    const DistillProgress& distill = progress.distill;
    if (distill.steps == 0) return std::string(progress.tensor);
    std::string note = "step " + std::to_string(distill.step) + " of " +
                       std::to_string(distill.steps) + ", loss " + Fixed(distill.loss, 5);
    if (distill.steps_per_second > 0) {
      note += ", " + Fixed(distill.steps_per_second, 1) + " steps/s";
    }
    return note;
  }

  std::string phase_;
  std::unique_ptr<ProgressLine> line_;
};

// Sizes from headers alone; nothing is hashed or written.
Result<void> Plan(const CommandContext& context, const Options& options,
                  const CompressOptions& chosen) {
  SIGNUM_ASSIGN(const auto base, Checkpoint::OpenDirectory(options.base));
  SIGNUM_ASSIGN(const auto fine, Checkpoint::OpenDirectory(options.fine));
  SIGNUM_ASSIGN(const DeltaPlan plan, PlanDelta(*base, *fine, chosen));
  if (context.json) {
    PrintJson(DescribePlan(plan));
  } else {
    PrintText(FormatPlan(plan));
  }
  return {};
}

Result<void> Run(const CommandContext& context, const Options& options) {
  SIGNUM_ASSIGN(const CompressOptions chosen, Choose(options));
  if (options.plan && !options.budget.empty()) {
    return Fail(Errc::kInvalid, "bad_option", "--plan looks at headers only, --budget at weights");
  }
  if (options.plan) return Plan(context, options, chosen);
  if (options.output.empty()) {
    return Fail(Errc::kInvalid, "bad_option",
                "-o FILE is required (or --plan, which writes nothing)");
  }
  SIGNUM_ASSIGN(const auto base, LocalCheckpoint::Open(options.base, HashLine("hash base")));
  SIGNUM_ASSIGN(const auto fine,
                LocalCheckpoint::OpenFineTune(options.fine, *base, HashLine("hash fine-tune")));
  MakeDeltaOptions make;
  make.backend = *OptionsOfPrecision(options.precision);
  make.compress = chosen;
  SIGNUM_ASSIGN(make.distill, ChooseDistillation(options, *fine));
  MakeDeltaLine line;
  SIGNUM_ASSIGN(const MadeDelta made,
                DiffCheckpoints(*base, *fine, make, options.output, line.Callback()));
  line.End();
  if (!made.method_note.empty()) {
    std::fprintf(stderr, "signum: not distilled: %s\n", made.method_note.c_str());
  }
  if (!made.device_note.empty()) std::fprintf(stderr, "signum: %s\n", made.device_note.c_str());
  const nlohmann::json report = Describe(options, *base, *fine, made);
  if (context.json) {
    PrintJson(report);
  } else {
    PrintText(options.output + ": " + HumanBytes(fine->directory_bytes()) + " became " +
              HumanBytes(made.summary.sealed.size) + " (" + Fixed(report["ratio"], 2) + "x), " +
              Fixed(report["linear"]["bits_per_weight"], 3) + " bits a linear weight, " +
              made.summary.sealed.digest.Text() + "\n" + FidelityLine(report));
  }
  return {};
}

}  // namespace

CommandRun AddDiff(CLI::App& app, const CommandContext& context) {
  auto options = std::make_shared<Options>();
  app.add_option("BASE_DIR", options->base, "Checkpoint directory of the base")->required();
  app.add_option("FINE_DIR", options->fine,
                 "Checkpoint directory of the fine-tune, or a PEFT LoRA adapter's")
      ->required();
  app.add_option("-o,--output", options->output, "Delta file to write");
  app.add_flag("--plan", options->plan,
               "Write nothing: print what the delta of a full fine-tune takes, from headers alone");
  app.add_option("--codec", options->codec,
                 "Codec of linear weights: sign1 (default; sparse or low-rank ones are found), "
                 "lowrank or raw")
      ->check(CLI::IsMember({"sign1", "lowrank", "raw"}));
  app.add_option("--scales", options->scales, "tensor, row or row+col (default)")
      ->check(CLI::IsMember({"tensor", "row", "row+col"}));
  app.add_option("--planes", options->planes,
                 "Planes of signs, 1 (default) to 8: each one more bit a weight for what is left")
      ->check(CLI::Range(1, kMaxPlanes));
  app.add_option(
      "--budget", options->budget,
      "Largest size of the delta, in bytes or as 12x (the fine-tune's over 12): codec and "
      "planes are chosen by error per byte");
  app.add_option("--embeddings", options->embeddings, "onebit (default) or exact")
      ->check(CLI::IsMember({"onebit", "exact"}));
  app.add_option("--method", options->method,
                 "distill (default): scales trained on logits; layerwise: signs for each layer's "
                 "outputs, no training; none")
      ->check(CLI::IsMember({"distill", "layerwise", "none"}));
  app.add_option("--steps", options->steps, "Training steps (200)")
      ->check(CLI::Range(1, 1'000'000));
  app.add_option("--calibration", options->calibration,
                 "self (default): text the fine-tune writes; or a file of text, or of token ids "
                 "(*.tokens, one row a line)");
  app.add_option("--loss", options->loss, "mse (default) or kl")
      ->check(CLI::IsMember({"mse", "kl"}));
  app.add_option("--seed", options->seed, "Of the calibration text and the order of its rows (0)");
  app.add_option("--device", options->device, "auto (default), cpu or cuda:N");
  app.add_option(
         "--precision", options->precision,
         "Products of the distillation: fp32 (default), or fast (bfloat16 on CPUs that have "
         "it, TF32 on CUDA)")
      ->check(CLI::IsMember({"fp32", "fast"}));
  app.add_option("--threads", options->threads, "Threads; 0 (default): one a core");
  return [&context, options] { return Run(context, *options); };
}

}  // namespace signum::client
