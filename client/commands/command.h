#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "client/registry.h"
#include "client/terminal.h"
#include "storage/base/result.h"

namespace CLI {
class App;
}

namespace signum::client {

// The flags every command shares.
struct CommandContext {
  std::string registry_url;
  std::string token;
  ClientTls tls;
  bool json = false;

  // Errc::kInvalid "no_registry" where neither --registry nor SIGNUM_REGISTRY is given.
  Result<std::unique_ptr<Registry>> Connect() const;
};

using CommandRun = std::function<Result<void>()>;

// One command: its name and what the overview says of it, and a function that declares its
// arguments and returns what runs it after parsing. `context` outlives the run.
struct Command {
  const char* name;
  const char* summary;
  CommandRun (*add)(CLI::App& app, const CommandContext& context);
};

// Each lives in the file of its name.
CommandRun AddPushBase(CLI::App& app, const CommandContext& context);
CommandRun AddPush(CLI::App& app, const CommandContext& context);
CommandRun AddRecompress(CLI::App& app, const CommandContext& context);
CommandRun AddPull(CLI::App& app, const CommandContext& context);
CommandRun AddLs(CLI::App& app, const CommandContext& context);
CommandRun AddShow(CLI::App& app, const CommandContext& context);
CommandRun AddPromote(CLI::App& app, const CommandContext& context);
CommandRun AddRollback(CLI::App& app, const CommandContext& context);
CommandRun AddRm(CLI::App& app, const CommandContext& context);
CommandRun AddJobs(CLI::App& app, const CommandContext& context);
CommandRun AddNodes(CLI::App& app, const CommandContext& context);
CommandRun AddAudit(CLI::App& app, const CommandContext& context);
CommandRun AddLog(CLI::App& app, const CommandContext& context);
CommandRun AddGc(CLI::App& app, const CommandContext& context);
CommandRun AddScrub(CLI::App& app, const CommandContext& context);
CommandRun AddBackup(CLI::App& app, const CommandContext& context);
CommandRun AddRestore(CLI::App& app, const CommandContext& context);
CommandRun AddKeys(CLI::App& app, const CommandContext& context);
CommandRun AddTenant(CLI::App& app, const CommandContext& context);
CommandRun AddMode(CLI::App& app, const CommandContext& context);
CommandRun AddToken(CLI::App& app, const CommandContext& context);
CommandRun AddDiff(CLI::App& app, const CommandContext& context);
CommandRun AddApply(CLI::App& app, const CommandContext& context);
CommandRun AddEval(CLI::App& app, const CommandContext& context);
CommandRun AddInspect(CLI::App& app, const CommandContext& context);
CommandRun AddVerify(CLI::App& app, const CommandContext& context);

// The table of all commands, in the order of the overview.
const std::vector<Command>& Commands();

// Runs the `signum` command line and returns its exit code. Standard output gets the result,
// standard error progress and, on failure, one line why.
int RunCommandLine(int argc, const char* const* argv);

// ---- what several commands share

void PrintJson(const nlohmann::json& value);
void PrintText(const std::string& text);
// A checkpoint's files uploaded with a progress bar; the upload's id.
Result<std::string> UploadDirectory(Registry& registry, const std::string& directory);
// Follows a job with a progress bar to its end. A job that failed is an error with the job's
// reason.
Result<Job> WaitForJob(Registry& registry, const std::string& id);

// Starts a job of the store itself, follows it to its end and returns its result.
Result<nlohmann::json> RunMaintenance(Registry& registry, const std::string& kind,
                                      const nlohmann::json& request);

// A line on what a delta lost, from "fidelity" of a report or version; "" where it was not
// measured.
std::string FidelityLine(const nlohmann::json& report);

}  // namespace signum::client
