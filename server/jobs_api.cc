#include <algorithm>
#include <array>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "server/app.h"
#include "server/audit_log.h"
#include "server/change.h"
#include "server/handler.h"
#include "server/http/conditional.h"
#include "server/principal.h"
#include "server/resources.h"
#include "server/upload_release.h"
#include "storage/base/digest.h"
#include "storage/base/name.h"

namespace signum {
namespace {

using nlohmann::json;

// JSON that the server itself stored; null where there is none.
json StoredJson(const std::string& text) {
  return text.empty() ? json(nullptr) : json::parse(text, nullptr, false);
}

// Results may be long: lists leave them out.
json JobResource(const JobRecord& job, bool with_result = true) {
  json error = nullptr;
  if (!job.error_reason.empty()) {
    error = {{"code", job.error_reason}, {"message", job.error_message}};
  }
  const bool system = job.system();
  json resource = {{"id", job.id},
                   {"kind", job.kind},
                   {"tenant", system ? json(nullptr) : json(job.tenant)},
                   {"model", system ? json(nullptr) : json(job.model)},
                   {"version", system ? json(nullptr) : json(job.version)},
                   {"state", JobStateName(job.state)},
                   {"phase", job.phase},
                   {"progress", job.progress},
                   {"rate", system ? 0 : job.rate},
                   {"loss", job.loss ? json(*job.loss) : json(nullptr)},
                   {"eta", job.eta_seconds < 0 ? json(nullptr) : json(job.eta_seconds)},
                   {"cancel_requested", job.cancel_requested},
                   {"error", std::move(error)},
                   {"attempts", job.attempts},
                   {"created", FormatTime(job.created)},
                   {"started", TimeOrNull(job.started)},
                   {"finished", TimeOrNull(job.finished)}};
  if (system) resource["request"] = StoredJson(job.request_json);
  if (system && with_result) resource["result"] = StoredJson(job.result_json);
  return resource;
}

bool IsOver(const JobRecord& job) {
  return job.state != JobState::kQueued && job.state != JobState::kRunning;
}

// A job of a tenant that the caller may not read is as unknown as one that never was.
Result<JobRecord> ReadableJob(const App& app, const http::Request& request, const std::string& id) {
  SIGNUM_ASSIGN(JobRecord job, app.catalog.GetJob(id));
  if (!Caller(request).MayRead(job.tenant)) {
    return Fail(Errc::kNotFound, "unknown_job", "no job '" + id + "'");
  }
  return job;
}

// The filters of a list of jobs, where they are given.
struct JobFilter {
  std::optional<std::string_view> tenant, model, state;

  bool Takes(const JobRecord& job) const {
    return (!tenant || job.tenant == *tenant) && (!model || job.model == *model) &&
           (!state || JobStateName(job.state) == *state);
  }
};

Result<JobFilter> ReadFilter(const http::Request& request) {
  const JobFilter filter{request.Query("tenant"), request.Query("model"), request.Query("state")};
  if (filter.tenant) SIGNUM_TRY(CheckName("tenant", *filter.tenant));
  if (filter.model) SIGNUM_TRY(CheckName("model", *filter.model));
  constexpr std::array<std::string_view, 5> kStates = {"queued", "running", "done", "failed",
                                                       "cancelled"};
  if (filter.state && std::find(kStates.begin(), kStates.end(), *filter.state) == kStates.end()) {
    return Fail(Errc::kInvalid, "bad_query",
                "query parameter 'state' must be queued, running, done, failed or cancelled");
  }
  return filter;
}

constexpr size_t kScanPage = 1000;
constexpr size_t kMaxScan =
    10 * kScanPage;  // jobs, other tenants' included, that one request reads

struct JobPage {
  std::vector<JobRecord> jobs;
  std::string cursor;  // the last job looked at
  bool more = false;
};

// Jobs are kept in one order for all tenants, so a page of some of them is a scan. It ends early
// where the caller's are rare: then the page is short and says where to go on.
Result<JobPage> ScanJobs(const Catalog& catalog, const Page& page,
                         const std::function<bool(const JobRecord&)>& takes) {
  JobPage found{{}, page.after, true};
  for (size_t scanned = 0; scanned < kMaxScan; scanned += kScanPage) {
    SIGNUM_ASSIGN(auto jobs, catalog.ListJobs(found.cursor, kScanPage));
    for (JobRecord& job : jobs) {
      if (found.jobs.size() == page.limit) return found;
      found.cursor = job.id;
      if (takes(job)) found.jobs.push_back(std::move(job));
    }
    if (jobs.size() < kScanPage) {
      found.more = false;
      break;
    }
  }
  return found;
}

Result<http::Response> ListJobs(App& app, const http::Request& request, const http::Params&) {
  const Principal& caller = Caller(request);
  if (caller.role == Role::kAuditor) SIGNUM_TRY(RequireAdmin(request));
  SIGNUM_ASSIGN(const Page page, PageOf(request));
  SIGNUM_ASSIGN(const JobFilter filter, ReadFilter(request));
  if (filter.tenant) SIGNUM_TRY(RequireRead(request, *filter.tenant));
  SIGNUM_ASSIGN(const JobPage found, ScanJobs(app.catalog, page, [&](const JobRecord& job) {
                  return caller.MayRead(job.tenant) && filter.Takes(job);
                }));
  json items = json::array();
  for (const JobRecord& job : found.jobs) items.push_back(JobResource(job, false));
  const json next = found.more ? json(found.cursor) : json(nullptr);
  return http::Json(200, json({{"jobs", std::move(items)}, {"next", next}}).dump());
}

Result<http::Response> GetJob(App& app, const http::Request& request, const http::Params& params) {
  SIGNUM_ASSIGN(const JobRecord job, ReadableJob(app, request, params[0]));
  std::string body = JobResource(job).dump();
  const std::string etag = http::StrongETag(Sha256::Of(AsBytes(body)).Hex().substr(0, 32));
  return ShowJson(request, std::move(body), etag);
}

Result<http::Response> CancelJob(App& app, const http::Request& request,
                                 const http::Params& params) {
  SIGNUM_ASSIGN(const JobRecord seen, ReadableJob(app, request, params[0]));
  SIGNUM_TRY(RequirePublish(request, seen.tenant));
  SIGNUM_ASSIGN(const JobRecord job, app.catalog.CancelJob(params[0]));
  if (IsOver(job)) {  // it had not begun: no worker will see to its upload
    const auto version = app.catalog.GetVersion(job.tenant, job.model, job.version);
    if (version.has_value()) ReleaseUpload(app.uploads, version->upload, job.state);
  }
  Record(app, request, "job.cancel", job.id);
  return http::Json(IsOver(job) ? 200 : 202, JobResource(job).dump());
}

// The server-sent events of one job: an event whenever the record changed, and `end` with the last
// one. Called by one thread at a time.
class JobEvents {
 public:
  JobEvents(const Catalog& catalog, std::string id) : catalog_(catalog), id_(std::move(id)) {}

  std::shared_ptr<void> Subscribe(Catalog& catalog, std::function<void()> wake) {
    wake_ = wake;
    return catalog.WatchJobs([id = id_, wake = std::move(wake)](std::string_view changed) {
      if (changed == id) wake();
    });
  }

  std::optional<std::string> Next() {
    if (ended_) return std::nullopt;
    const auto job = catalog_.GetJob(id_);
    if (job.has_error()) return std::nullopt;  // deleted with its version
    std::string data = JobResource(*job).dump();
    ended_ = IsOver(*job);
    if (!ended_ && data == last_) return std::string();
    std::string events = "event: progress\ndata: " + data + "\n\n";
    if (ended_) {
      events += "event: end\ndata: " + data + "\n\n";
      wake_();  // nothing else will: to be asked once more and say that this was all
    }
    last_ = std::move(data);
    return events;
  }

 private:
  const Catalog& catalog_;
  std::string id_;
  std::function<void()> wake_;
  std::string last_;
  bool ended_ = false;
};

Result<http::Response> StreamJob(App& app, const http::Request& request,
                                 const http::Params& params) {
  SIGNUM_ASSIGN(const JobRecord job, ReadableJob(app, request, params[0]));
  auto events = std::make_shared<JobEvents>(app.catalog, job.id);
  http::EventStream stream;
  stream.subscribe = [&app, events](std::function<void()> wake) {
    return events->Subscribe(app.catalog, std::move(wake));
  };
  stream.next = [events] { return events->Next(); };
  http::Response response;
  response.Set("Content-Type", "text/event-stream");
  response.Set("Cache-Control", "no-store");
  response.body = std::move(stream);
  return response;
}

}  // namespace

void AddJobRoutes(http::Router& router, App& app) {
  const std::string one = "/v1/jobs/{id}";
  router.Add({.method = "GET", .pattern = "/v1/jobs", .handler = Ask(app, ListJobs)});
  router.Add({.method = "GET", .pattern = one, .handler = Ask(app, GetJob)});
  router.Add({.method = "GET", .pattern = one + "/events", .handler = Ask(app, StreamJob)});
  router.Add({.method = "DELETE", .pattern = one, .handler = Change(app, "job.cancel", CancelJob)});
}

}  // namespace signum
