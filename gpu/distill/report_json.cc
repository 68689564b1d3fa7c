#include "gpu/distill/report_json.h"

#include <nlohmann/json.hpp>

namespace signum {

nlohmann::json FidelityJson(const Fidelity& fidelity) {
  nlohmann::json out = {{"logit_mse", fidelity.logit_mse},
                        {"kl", fidelity.kl},
                        {"top1", fidelity.top1},
                        {"targets", fidelity.targets},
                        {"perplexity",
                         {{"base", nullptr},
                          {"fine", fidelity.perplexity_fine},
                          {"delta", fidelity.perplexity_delta}}}};
  if (fidelity.perplexity_base) out["perplexity"]["base"] = *fidelity.perplexity_base;
  return out;
}

nlohmann::json CalibrationJson(const MakeDeltaOptions& options, const MadeDelta& made) {
  nlohmann::json out = {{"source", options.distill.calibration ? "given" : "self"},
                        {"seed", options.distill.train.seed},
                        {"tokens", made.distilled->calibration_tokens},
                        {"steps", made.distilled->steps}};
  if (made.method == Method::kDistill) {
    out["loss"] = LossName(options.distill.train.loss);
    out["first_loss"] = made.distilled->first_loss;
    out["last_loss"] = made.distilled->last_loss;
  }
  return out;
}

}  // namespace signum
