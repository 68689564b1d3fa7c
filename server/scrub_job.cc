#include <nlohmann/json.hpp>
#include <random>
#include <system_error>

#include "server/maintenance_jobs.h"
#include "server/remake_delta.h"
#include "storage/scrub.h"

namespace signum {
namespace {

using nlohmann::json;

json ObjectResource(const DamagedObject& object) {
  json resource = {
      {"object", object.digest.Text()},    {"size", object.size},         {"why", object.why},
      {"quarantined", object.quarantined}, {"repaired", object.repaired}, {"bases", object.bases},
      {"versions", object.versions}};
  if (!object.not_repaired.empty()) resource["not_repaired"] = object.not_repaired;
  return resource;
}

json ReportResource(const ScrubReport& report) {
  json damaged = json::array();
  size_t repaired = 0;
  for (const DamagedObject& object : report.damaged) {
    damaged.push_back(ObjectResource(object));
    if (object.repaired) ++repaired;
  }
  return {{"clean", report.clean()},
          {"objects", report.objects},
          {"object_bytes", report.object_bytes},
          {"files", report.files},
          {"file_bytes", report.file_bytes},
          {"references", report.references},
          {"manifests", report.manifests},
          {"repaired", repaired},
          {"damaged", std::move(damaged)},
          {"damaged_files", report.damaged_files},
          {"problems", report.problems}};
}

// Takes what is damaged from the newest backup in `directory`.
Result<void> RepairFrom(const MaintenanceContext& context, const std::string& directory,
                        ScrubReport& report) {
  const auto scratch = context.options.data / "tmp" / "repair";
  std::error_code error;
  std::filesystem::remove_all(scratch, error);  // of a process that died
  if (error) return FromErrno(error.value(), scratch.string());
  SIGNUM_ASSIGN(const BackupIndex backup, FindBackup(directory, std::nullopt));
  SIGNUM_TRY(UnpackBackup(directory, backup, scratch, true));
  const auto repaired = [&]() -> Result<void> {
    SIGNUM_ASSIGN(const auto engine, OpenRocksEngine((scratch / "store").string()));
    const ObjectStore other(*engine);
    return RepairObjects(context.app.objects, other, report);
  }();
  std::filesystem::remove_all(scratch, error);
  return repaired;
}

}  // namespace

Result<std::string> RunScrubJob(const MaintenanceContext& context, const JobRecord& job,
                                const JobSteps& steps) {
  const json request = json::parse(job.request_json);
  ScrubOptions options;
  options.sample = request.value("sample", 1.0);
  options.rate = request.value("rate", uint64_t{0});
  options.seed = std::random_device{}();
  App& app = context.app;
  SIGNUM_ASSIGN(auto keys, app.keys.PublicKeys());
  const ScrubContext scrubbed{app.engine, app.objects, app.catalog, app.accounts, std::move(keys)};
  SIGNUM_ASSIGN(ScrubReport report, ScrubStore(scrubbed, options, steps));
  SIGNUM_ASSIGN(const auto off, app.quotas.Recount());
  for (const std::string& line : off) report.problems.push_back("usage " + line + "; set right");
  const std::string repair_from = request.value("repair_from", "");
  const auto hold = app.objects.HoldCollection();
  if (!repair_from.empty() && !report.damaged.empty()) {
    if (!steps("repair", 0)) return Fail(Errc::kCancelled, "cancelled", "stopped");
    SIGNUM_TRY(RepairFrom(context, repair_from, report));
  }
  if (request.value("recompress", false)) SIGNUM_TRY(RemakeDeltas(context, report, steps));
  return ReportResource(report).dump();
}

}  // namespace signum
