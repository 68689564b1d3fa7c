#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "server/app.h"
#include "server/audit_log.h"
#include "server/change.h"
#include "server/fields.h"
#include "server/handler.h"
#include "server/maintenance_jobs.h"
#include "server/principal.h"

// The store's own jobs, queued for Maintenance, and what backups there are.

namespace signum {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The request's JSON object; an empty one where there is no body.
Result<Fields> OptionalBody(const http::Request& request) {
  return request.body.empty() ? Fields::Of(json::object(), "") : Fields::Parse(request);
}

Result<http::Response> Queue(App& app, const http::Request& request, const std::string& kind,
                             const json& asked) {
  SIGNUM_ASSIGN(const JobRecord job, app.catalog.CreateSystemJob(kind, asked.dump()));
  Record(app, request, kind + ".start", job.id);
  const std::string url = Link(request, "/v1/jobs/" + job.id);
  http::Response response = http::Json(202, json({{"job", job.id}, {"url", url}}).dump());
  response.Set("Location", url);
  return response;
}

// Where backups are written is for whoever runs the server to allow, not for whoever has a token.
Result<std::string> BackupPath(const App& app, const std::string& asked) {
  if (app.backup_dir.empty()) {
    return Fail(Errc::kConflict, "backups_disabled",
                "this server writes no backups: it was started without --backup-dir");
  }
  std::error_code error;
  const fs::path root = fs::weakly_canonical(fs::absolute(app.backup_dir), error);
  const fs::path path = error ? fs::path() : fs::weakly_canonical(root / asked, error);
  if (error) return Fail(Errc::kUnusable, "bad_field", "field 'dir': " + error.message());
  const auto outside = std::mismatch(root.begin(), root.end(), path.begin(), path.end()).first;
  if (outside == root.end()) return path.string();
  return Fail(Errc::kDenied, "dir_not_allowed",
              "field 'dir': backups may lie below " + root.string() + " alone");
}

Result<http::Response> Collect(App& app, const http::Request& request, const http::Params&) {
  SIGNUM_TRY(RequireAdmin(request));
  SIGNUM_ASSIGN(Fields body, OptionalBody(request));
  SIGNUM_ASSIGN(const bool dry_run, body.Bool("dry_run", false));
  SIGNUM_TRY(body.Done());
  return Queue(app, request, "gc", {{"dry_run", dry_run}});
}

Result<http::Response> StartScrub(App& app, const http::Request& request, const http::Params&) {
  SIGNUM_TRY(RequireAdmin(request));
  SIGNUM_ASSIGN(Fields body, OptionalBody(request));
  json asked = json::object();
  if (const json* sample = body.Find("sample")) {
    const bool fits = sample->is_number() && *sample > 0 && *sample <= 1;
    if (!fits) return body.Bad("sample", "a part of the whole: over 0, at most 1");
    asked["sample"] = *sample;
  }
  if (body.Find("rate") != nullptr) {
    SIGNUM_ASSIGN(asked["rate"], body.Number("rate"));
  }
  SIGNUM_ASSIGN(const auto repair_from, body.OptionalString("repair_from"));
  SIGNUM_ASSIGN(const bool recompress, body.Bool("recompress", false));
  SIGNUM_TRY(body.Done());
  if (recompress) asked["recompress"] = true;
  if (repair_from) {
    SIGNUM_ASSIGN(asked["repair_from"], BackupPath(app, *repair_from));
  }
  return Queue(app, request, "scrub", asked);
}

Result<http::Response> StartBackup(App& app, const http::Request& request, const http::Params&) {
  SIGNUM_TRY(RequireAdmin(request));
  SIGNUM_ASSIGN(Fields body, OptionalBody(request));
  SIGNUM_ASSIGN(const auto dir, body.OptionalString("dir"));
  json asked = json::object();
  if (body.Find("keep") != nullptr) {
    SIGNUM_ASSIGN(const uint64_t keep, body.Number("keep"));
    if (keep == 0) return body.Bad("keep", "how many backups to keep: 1 or more");
    asked["keep"] = keep;
  }
  SIGNUM_TRY(body.Done());
  SIGNUM_ASSIGN(asked["dir"], BackupPath(app, dir.value_or("")));
  return Queue(app, request, "backup", asked);
}

Result<http::Response> ListBackupsOf(App& app, const http::Request& request, const http::Params&) {
  SIGNUM_TRY(RequireAdmin(request));
  SIGNUM_ASSIGN(const Page page, NumberedPageOf(request));
  SIGNUM_ASSIGN(const std::string path,
                BackupPath(app, std::string(request.Query("dir").value_or(""))));
  const auto backups = ListBackups(path);
  if (backups.has_error() && backups.error().code != Errc::kNotFound) return backups.error();
  json items = json::array();
  std::string last;
  if (backups.has_value()) {
    for (const BackupIndex& backup : *backups) {
      if (backup.id <= page.AfterNumber() || items.size() >= page.limit) continue;
      items.push_back(BackupResource(backup));
      last = std::to_string(backup.id);
    }
  }
  return ListResponse("backups", std::move(items), page, last);
}

}  // namespace

void AddMaintenanceRoutes(http::Router& router, App& app) {
  router.Add({"POST", "/v1/admin/gc", Change(app, "gc.start", Collect)});
  router.Add({"POST", "/v1/admin/scrub", Change(app, "scrub.start", StartScrub)});
  router.Add({"POST", "/v1/admin/backup", Change(app, "backup.start", StartBackup)});
  router.Add({"GET", "/v1/admin/backups", Ask(app, ListBackupsOf)});
}

}  // namespace signum
