#include <nlohmann/json.hpp>

#include "server/maintenance_jobs.h"
#include "server/metrics.h"
#include "storage/references.h"
#include "storage/retention.h"

namespace signum {
namespace {

using nlohmann::json;

// One line of the audit log for what a policy, not a person, did.
Result<void> Record(App& app, const JobRecord& job, std::string action, std::string target) {
  LogEntry entry;
  entry.who = "gc";
  entry.action = std::move(action);
  entry.target = std::move(target);
  entry.result = "ok";
  entry.request_id = job.id;
  return app.accounts.AppendLog(std::move(entry));
}

// Adds what was out of policy and is gone. A version that an alias took up meanwhile, or that
// somebody deleted, is left out.
Result<void> DeleteVersions(App& app, const JobRecord& job, const RetentionPlan& plan, bool dry,
                            json& gone) {
  for (const OutOfPolicy& out : plan.versions) {
    const VersionRecord& version = out.version;
    if (!dry) {
      const auto deleted =
          app.catalog.DeleteVersion(version.tenant, version.model, version.version);
      if (deleted.has_error()) {
        const Errc code = deleted.error().code;
        if (code == Errc::kConflict || code == Errc::kNotFound) continue;
        return deleted.error();
      }
      SIGNUM_TRY(Record(app, job, "version.expire", NameOf(version)));
    }
    gone.push_back({{"version", NameOf(version)}, {"why", out.why}});
  }
  return {};
}

Result<void> DropExact(App& app, const JobRecord& job, const RetentionPlan& plan, bool dry,
                       json& dropped) {
  for (const VersionRecord& version : plan.exact) {
    if (!dry) {
      const auto forgotten =
          app.catalog.ForgetExact(version.tenant, version.model, version.version);
      if (forgotten.has_error() && forgotten.error().code == Errc::kNotFound) continue;
      SIGNUM_TRY(forgotten);
      SIGNUM_TRY(Record(app, job, "version.drop_exact", NameOf(version)));
    }
    dropped.push_back(NameOf(version));
  }
  return {};
}

json ListOf(const CollectReport& report) {
  json list = json::array();
  for (const Garbage& garbage : report.listed) {
    list.push_back({{"object", garbage.what},
                    {"bytes", garbage.bytes},
                    {"why", garbage.why},
                    {"goes", garbage.goes}});
  }
  return list;
}

}  // namespace

Result<std::string> RunCollectJob(const MaintenanceContext& context, const JobRecord& job,
                                  const JobSteps& steps) {
  const json request = json::parse(job.request_json);
  CollectOptions options;
  options.dry_run = request.value("dry_run", false);
  options.grace_micros = std::chrono::microseconds(context.options.collect_grace).count();
  App& app = context.app;
  if (!steps("retention", 0)) return Fail(Errc::kCancelled, "cancelled", "stopped");
  SIGNUM_ASSIGN(const auto plan, PlanRetention(app.engine, app.catalog, context.now()));
  json versions = json::array();
  json exact = json::array();
  SIGNUM_TRY(DeleteVersions(app, job, plan, options.dry_run, versions));
  SIGNUM_TRY(DropExact(app, job, plan, options.dry_run, exact));
  if (options.dry_run) {
    for (const OutOfPolicy& out : plan.versions) options.without.insert(NameOf(out.version));
  }
  SIGNUM_ASSIGN(const auto report, context.collector.Run(options, [&](double done) {
    return steps("collect", done);
  }));
  if (!options.dry_run) app.metrics.CountCollected(report.removed_bytes);
  return json({{"dry_run", options.dry_run},
               {"live", report.live},
               {"removed", {{"objects", report.removed}, {"bytes", report.removed_bytes}}},
               {"waiting", {{"objects", report.waiting}, {"bytes", report.waiting_bytes}}},
               {"stray_blobs", report.blobs},
               {"versions", std::move(versions)},
               {"exact_dropped", std::move(exact)},
               {"objects", ListOf(report)}})
      .dump();
}

}  // namespace signum
