#include "client/commands/command.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/exit_code.h"
#include "client/tls_options.h"
#include "client/upload.h"

namespace signum::client {

const std::vector<Command>& Commands() {
  static const std::vector<Command> commands = {
      {"push-base", "Upload a base model (admin)", AddPushBase},
      {"push", "Upload a fine-tune as a new version of TENANT/MODEL", AddPush},
      {"recompress", "Make a new version from an old one's upload, without a new upload",
       AddRecompress},
      {"pull", "Fetch deltas or checkpoints, verified", AddPull},
      {"ls", "List bases and tenants, the models of a tenant, or a model's versions", AddLs},
      {"show", "Show one version", AddShow},
      {"promote", "Make a version live: what nodes run", AddPromote},
      {"rollback", "Make the previously live version live again", AddRollback},
      {"rm", "Delete versions", AddRm},
      {"jobs", "List jobs; follow or cancel one", AddJobs},
      {"nodes", "Show which node runs what, and which lags", AddNodes},
      {"audit", "Show what is stored and what that saved", AddAudit},
      {"log", "Print the audit log, or verify an exported one offline", AddLog},
      {"gc", "Remove what is out of policy and what nothing names (admin)", AddGc},
      {"scrub", "Read and check what is stored (admin)", AddScrub},
      {"backup", "Write a backup to a directory of the server (admin)", AddBackup},
      {"restore", "Make a data directory from a backup, offline", AddRestore},
      {"tenant", "Show or set a tenant's quota and policy, and what it uses (admin)", AddTenant},
      {"mode", "Show or set whether the registry is read-only (admin)", AddMode},
      {"token", "Create, list, rotate and revoke access tokens (admin)", AddToken},
      {"keys", "List the keys that sign manifests; rotate them (admin)", AddKeys},
      {"diff", "Compress a fine-tune into a delta file, offline", AddDiff},
      {"apply", "Rebuild a fine-tune from its base and a delta file, offline", AddApply},
      {"eval", "Measure a delta against its fine-tune on held-out text, offline", AddEval},
      {"inspect", "Show what a delta file or manifest holds, offline", AddInspect},
      {"verify", "Check a delta file against its signed manifest, offline", AddVerify},
  };
  return commands;
}

Result<std::unique_ptr<Registry>> CommandContext::Connect() const {
  if (registry_url.empty()) {
    return Fail(Errc::kInvalid, "no_registry",
                "which registry? Give --registry URL or set SIGNUM_REGISTRY");
  }
  SIGNUM_TRY(UrlOrigin(registry_url));
  RegistryOptions options;
  options.url = registry_url;
  options.token = token;
  options.tls = tls;
  return std::make_unique<Registry>(std::move(options));
}

namespace {

void AddSharedFlags(CLI::App& app, CommandContext& context) {
  app.add_option("--registry", context.registry_url, "URL of the registry")
      ->envname("SIGNUM_REGISTRY");
  app.add_option("--token", context.token, "Access token")->envname("SIGNUM_TOKEN");
  AddTlsOptions(app, context.tls);
  app.add_flag("--json", context.json, "Print results as JSON");
}

int Report(const Error& error, bool json) {
  if (json) {
    PrintJson({{"error", {{"code", error.reason}, {"message", error.message}}}});
  }
  std::fprintf(stderr, "signum: %s (%s)\n", error.message.c_str(), error.reason.c_str());
  return static_cast<int>(ExitCodeOf(error.code));
}

}  // namespace

int RunCommandLine(int argc, const char* const* argv) {
  CLI::App app("Signum: fine-tunes as verified 1-bit deltas of their base model.", "signum");
  app.footer(
      "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused, 5 corrupt.\n"
      "Help on one command: signum COMMAND --help");
  app.set_version_flag("--version", std::string("signum ") + SIGNUM_VERSION);
  app.require_subcommand(1);
  CommandContext context;
  AddSharedFlags(app, context);
  CommandRun chosen;
  for (const Command& command : Commands()) {
    CLI::App* sub = app.add_subcommand(command.name, command.summary);
    sub->fallthrough();  // shared flags may follow the command
    sub->callback([&chosen, run = command.add(*sub, context)] { chosen = run; });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
  }
  const Result<void> done = chosen();
  std::fflush(stdout);
  return done ? 0 : Report(done.error(), context.json);
}

void PrintJson(const nlohmann::json& value) {
  PrintText(value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

void PrintText(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

Result<std::string> UploadDirectory(Registry& registry, const std::string& directory) {
  SIGNUM_ASSIGN(const auto checkpoint, Checkpoint::OpenDirectory(directory));
  ProgressLine line("push " + directory);
  return UploadCheckpoint(registry, *checkpoint, [&](const UploadProgress& progress) {
    line.Update(progress.done, progress.total,
                std::string(progress.stage) + " " + std::string(progress.path));
  });
}

Result<Job> WaitForJob(Registry& registry, const std::string& id) {
  ProgressLine line("job " + id);
  SIGNUM_ASSIGN(Job job, registry.FollowJob(id, [&](const Job& seen) {
    line.Update(static_cast<uint64_t>(seen.progress * 1000), 1000, seen.phase);
  }));
  if (job.state == "done") return job;
  const Errc code = job.state == "cancelled" ? Errc::kCancelled : Errc::kInternal;
  return Fail(code, job.error_code.empty() ? "job_" + job.state : job.error_code,
              "job " + id + " " + job.state + ": " + job.error_message);
}

Result<nlohmann::json> RunMaintenance(Registry& registry, const std::string& kind,
                                      const nlohmann::json& request) {
  SIGNUM_ASSIGN(const nlohmann::json started, registry.StartMaintenance(kind, request));
  SIGNUM_ASSIGN(const std::string id, JsonString(started, "job"));
  SIGNUM_TRY(WaitForJob(registry, id));
  SIGNUM_ASSIGN(const nlohmann::json job, registry.GetJob(id));
  return Result<nlohmann::json>(boost::system::in_place_value,
                                job.value("result", nlohmann::json::object()));
}

std::string FidelityLine(const nlohmann::json& report) {
  const auto at = report.find("fidelity");
  if (at == report.end() || !at->is_object() || !at->contains("kl")) return "";
  return "  on held-out text of its own: logit MSE " + Fixed((*at)["logit_mse"], 5) + ", KL " +
         Fixed((*at)["kl"], 5) + ", top-1 agreement " + Fixed((*at)["top1"], 4) + ", perplexity " +
         Fixed((*at)["perplexity"]["delta"], 2) + " (fine-tune " +
         Fixed((*at)["perplexity"]["fine"], 2) + ")\n";
}

}  // namespace signum::client
