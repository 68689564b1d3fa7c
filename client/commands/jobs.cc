#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"

namespace signum::client {

namespace {

using nlohmann::json;

Result<void> Follow(const CommandContext& context, Registry& registry, const std::string& id) {
  const Result<Job> job = WaitForJob(registry, id);
  if (!job) return job.error();
  if (context.json) {
    SIGNUM_ASSIGN(const json document, registry.GetJob(id));
    PrintJson(document);
  } else {
    PrintText("job " + id + " " + job->state + "\n");
  }
  return {};
}

Result<void> Cancel(const CommandContext& context, Registry& registry, const std::string& id) {
  SIGNUM_ASSIGN(const json document, registry.CancelJob(id));
  SIGNUM_ASSIGN(const Job job, ParseJob(document));
  if (context.json) {
    PrintJson(document);
  } else {
    PrintText("job " + id + (job.finished() ? " " + job.state : " was asked to stop") + "\n");
  }
  return {};
}

Result<void> Run(const CommandContext& context, const std::string& follow,
                 const std::string& cancel) {
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  if (!follow.empty()) return Follow(context, *registry, follow);
  if (!cancel.empty()) return Cancel(context, *registry, cancel);
  SIGNUM_ASSIGN(const json list, registry->ListJobs());
  if (context.json) {
    PrintJson(list);
    return {};
  }
  Table table({"JOB", "WHAT", "STATE", "PHASE", "PROGRESS", "CREATED", "ERROR"});
  for (const json& document : list.at("jobs")) {
    SIGNUM_ASSIGN(const Job job, ParseJob(document));
    const std::string what = job.tenant.empty()
                                 ? JsonCell(document, "kind")
                                 : job.tenant + "/" + job.model + "@" + std::to_string(job.version);
    table.Add({job.id, what, job.state, job.phase, Fixed(job.progress * 100, 0) + " %",
               JsonCell(document, "created"), job.error_code.empty() ? "-" : job.error_code});
  }
  PrintText(table.Format());
  return {};
}

}  // namespace

CommandRun AddJobs(CLI::App& app, const CommandContext& context) {
  auto follow = std::make_shared<std::string>();
  auto cancel = std::make_shared<std::string>();
  CLI::Option* const followed =
      app.add_option("-f,--follow", *follow, "Follow the job with this id to its end");
  app.add_option("--cancel", *cancel, "Cancel the job with this id")->excludes(followed);
  return [&context, follow, cancel] { return Run(context, *follow, *cancel); };
}

}  // namespace signum::client
