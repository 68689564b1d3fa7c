#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
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

Result<std::vector<PublicKey>> TrustedKeys(Registry& registry, const std::string& pinned) {
  std::vector<PublicKey> out;
  if (!pinned.empty()) {
    SIGNUM_ASSIGN(PublicKey key, PublicKey::FromBase64(pinned));
    out.push_back(std::move(key));
    return out;
  }
  SIGNUM_ASSIGN(const std::vector<RegistryKey> keys, registry.Keys());
  for (const RegistryKey& key : keys) out.push_back(key.key);
  return out;
}

// What to pull: every live model of a tenant, or one version.
Result<std::vector<PullTarget>> Targets(Registry& registry, const ModelRef& ref,
                                        const std::string& key) {
  SIGNUM_ASSIGN(const std::vector<PublicKey> keys, TrustedKeys(registry, key));
  std::vector<PullTarget> out;
  if (ref.model.empty()) {
    SIGNUM_ASSIGN(const LiveState live, registry.Live(ref.tenant));
    for (const LiveModel& model : live.models) {
      out.push_back({ref.tenant, model.model, model.version, keys});
    }
    if (out.empty()) {
      return Fail(Errc::kNotFound, "nothing_live", "nothing is live for " + ref.tenant);
    }
    return out;
  }
  SIGNUM_ASSIGN(
      const nlohmann::json version,
      registry.GetVersion(ref.tenant, ref.model, ref.version.empty() ? "live" : ref.version));
  SIGNUM_ASSIGN(const uint64_t number, JsonNumber(version, "version"));
  const std::string state = JsonStringOr(version, "state", "");
  if (state != "ready") {
    return Fail(Errc::kConflict, "version_not_ready",
                ref.tenant + "/" + ref.model + "@" + std::to_string(number) + " is " + state);
  }
  out.push_back({ref.tenant, ref.model, number, keys});
  return out;
}

// One model goes straight into DIR; of several checkpoints each gets a folder of its own.
std::filesystem::path Place(const Options& options, const ModelRef& ref, const PullTarget& target) {
  const std::filesystem::path output = options.output;
  return options.as == "checkpoint" && ref.model.empty() ? output / target.model : output;
}

nlohmann::json Describe(const PullTarget& target, const std::vector<PulledFile>& files) {
  nlohmann::json out = {{"tenant", target.tenant},
                        {"model", target.model},
                        {"version", target.version},
                        {"files", nlohmann::json::array()}};
  for (const PulledFile& file : files) {
    out["files"].push_back(
        {{"path", file.path}, {"size", file.size}, {"sha256", file.digest.Text()}});
  }
  return out;
}

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
  SIGNUM_ASSIGN(const auto targets, Targets(*registry, ref, options.key));
  nlohmann::json report = nlohmann::json::array();
  for (const PullTarget& target : targets) {
    SIGNUM_ASSIGN(const auto files,
                  PullOne(*registry, target, options, Place(options, ref, target)));
    report.push_back(Describe(target, files));
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
