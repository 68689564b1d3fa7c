#include "client/commands/version_request.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/distill_input.h"
#include "storage/base/file.h"
#include "storage/format/delta_file.h"

namespace signum::client {

namespace {

// A request carries no more; the registry has its own limit too.
constexpr uint64_t kMaxCalibrationBytes = uint64_t{1} << 20;

std::string Summary(const std::string& name, const nlohmann::json& version) {
  const nlohmann::json sizes = version.value("sizes", nlohmann::json::object());
  return name + " " + JsonCell(version, "state") + ": " +
         HumanBytes(JsonNumberOr(sizes, "upload", 0)) + " became " +
         HumanBytes(JsonNumberOr(sizes, "delta", 0)) + " (" +
         Fixed(JsonRealOr(version, "ratio", 0), 2) + "x), " + JsonCell(version, "digest") + "\n" +
         FidelityLine(version);
}

}  // namespace

void VersionRequest::AddOptions(CLI::App& app) {
  app.add_flag("--wait", wait_, "Wait until the delta is ready");
  app.add_option("--codec", codec_, "Codec of linear weights: sign1 (default), lowrank or raw");
  app.add_option("--scales", scales_, "tensor, row or row+col (default)")
      ->check(CLI::IsMember({"tensor", "row", "row+col"}));
  app.add_option("--planes", planes_, "Planes of signs, 1 (default) to 8");
  app.add_option("--budget", budget_, "Largest size of the delta: bytes, or 12x");
  app.add_option("--embeddings", embeddings_, "onebit (default) or exact")
      ->check(CLI::IsMember({"onebit", "exact"}));
  app.add_option("--method", method_,
                 "distill (default): scales trained on logits; layerwise; none")
      ->check(CLI::IsMember({"distill", "layerwise", "none"}));
  app.add_option("--steps", steps_, "Training steps (200)");
  app.add_option("--calibration", calibration_,
                 "self (default): text the fine-tune writes; or a file of text, or of token ids "
                 "(*.tokens)");
  app.add_option("--loss", loss_, "mse (default) or kl")->check(CLI::IsMember({"mse", "kl"}));
  app.add_option("--seed", seed_, "Of the calibration text and the order of its rows");
  app.add_option("--max-kl", max_kl_, "Gate: reject the version above this KL (nats)");
  app.add_option("--min-top1", min_top1_, "Gate: reject it below this share of equal top tokens");
  app.add_flag("--no-keep-exact", no_keep_exact_,
               "Keep only the delta, not the upload bit for bit");
}

// What "distill" of a version's request says. The registry reads text with the upload's tokenizer.
Result<nlohmann::json> VersionRequest::Distillation() const {
  nlohmann::json distill = nlohmann::json::object();
  if (steps_) distill["steps"] = *steps_;
  if (seed_) distill["seed"] = *seed_;
  if (!loss_.empty()) distill["loss"] = loss_;
  if (calibration_.empty() || calibration_ == "self")
    return {boost::system::in_place_value, std::move(distill)};
  SIGNUM_ASSIGN(std::string text, ReadFile(calibration_, kMaxCalibrationBytes));
  const char* kind = IsTokenFile(calibration_) ? "tokens" : "text";
  distill["calibration"] = {{kind, std::move(text)}};
  return {boost::system::in_place_value, std::move(distill)};
}

Result<nlohmann::json> VersionRequest::Body() const {
  if (!codec_.empty() && !CodecFromName(codec_)) {
    return Fail(Errc::kInvalid, "bad_option", "unknown --codec " + codec_);
  }
  SIGNUM_ASSIGN(nlohmann::json distill, Distillation());
  nlohmann::json body = nlohmann::json::object();
  if (!method_.empty()) body["method"] = method_;
  if (!distill.empty()) body["distill"] = std::move(distill);
  if (max_kl_) body["gate"]["max_kl"] = *max_kl_;
  if (min_top1_) body["gate"]["min_top1"] = *min_top1_;
  if (!codec_.empty()) body["codec"] = codec_;
  if (!scales_.empty()) body["scales"] = scales_;
  if (planes_ != 1) body["planes"] = planes_;
  if (!budget_.empty()) body["budget"] = budget_;
  if (!embeddings_.empty()) body["embeddings"] = embeddings_;
  if (no_keep_exact_) body["keep_exact"] = false;
  return {boost::system::in_place_value, std::move(body)};
}

Result<void> VersionRequest::Create(const CommandContext& context, Registry& registry,
                                    const ModelRef& model, const nlohmann::json& body) const {
  SIGNUM_ASSIGN(const nlohmann::json created,
                registry.CreateVersion(model.tenant, model.model, body));
  SIGNUM_ASSIGN(const uint64_t version, JsonNumber(created, "version"));
  SIGNUM_ASSIGN(const std::string job, JsonString(created, "job"));
  const std::string name = model.tenant + "/" + model.model + "@" + std::to_string(version);
  if (!wait_) {
    if (context.json) {
      PrintJson(created);
    } else {
      PrintText(name + " queued as job " + job + " (signum jobs -f " + job + ")\n");
    }
    return {};
  }
  SIGNUM_TRY(WaitForJob(registry, job));
  SIGNUM_ASSIGN(const nlohmann::json ready,
                registry.GetVersion(model.tenant, model.model, std::to_string(version)));
  if (context.json) {
    PrintJson(ready);
  } else {
    PrintText(Summary(name, ready));
  }
  if (JsonCell(ready, "state") != "rejected") return {};
  return Fail(Errc::kPrecondition, "gate_failed",
              name + " was rejected: " + JsonCell(ready["error"], "message"));
}

}  // namespace signum::client
