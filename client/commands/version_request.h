#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "client/commands/command.h"
#include "client/model_ref.h"

namespace signum::client {

// What `push` and `recompress` share: the options of a new version, its request, and what is said
// of it.
class VersionRequest {
 public:
  void AddOptions(CLI::App& app);

  // The request's body but for what the version is made from. Reads the calibration file.
  Result<nlohmann::json> Body() const;

  // Creates the version that `body` asks for; with --wait, waits for its job. A version that its
  // gate rejected is Errc::kPrecondition "gate_failed".
  Result<void> Create(const CommandContext& context, Registry& registry, const ModelRef& model,
                      const nlohmann::json& body) const;

 private:
  Result<nlohmann::json> Distillation() const;

  std::string codec_, scales_, embeddings_, budget_, method_, calibration_, loss_;
  int planes_ = 1;
  std::optional<int64_t> steps_;
  std::optional<uint64_t> seed_;
  std::optional<double> max_kl_, min_top1_;
  bool wait_ = false;
  bool no_keep_exact_ = false;
};

}  // namespace signum::client
