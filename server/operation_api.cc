#include <chrono>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "server/app.h"
#include "server/change.h"
#include "server/embedded.h"
#include "server/handler.h"
#include "server/http/server.h"
#include "server/job_counts.h"
#include "server/metrics.h"
#include "server/openapi.h"
#include "server/principal.h"

namespace signum {
namespace {

http::Response Uncached(std::string body, std::string_view type) {
  http::Response response;
  response.Set("Content-Type", std::string(type));
  response.Set("Cache-Control", "no-store");
  response.body = std::move(body);
  return response;
}

http::Response Health(const http::Request&, const http::Params&) {
  return Uncached(R"({"status":"ok"})", "application/json");
}

// Whether the store takes a durable write. Anybody may ask, so it is tried at most once a second.
class StoreProbe {
 public:
  explicit StoreProbe(Engine& engine) : engine_(engine) {}

  Result<void> Check() {
    const std::lock_guard lock(mutex_);
    const auto now = std::chrono::steady_clock::now();
    if (!last_ || now - tried_ >= std::chrono::seconds(1)) {
      Batch batch;
      batch.Put("g/ready/probe", std::to_string(++writes_));
      last_ = engine_.Commit(batch);
      tried_ = std::chrono::steady_clock::now();
    }
    return *last_;
  }

 private:
  Engine& engine_;
  std::mutex mutex_;
  std::optional<Result<void>> last_;
  std::chrono::steady_clock::time_point tried_;
  uint64_t writes_ = 0;
};

Result<http::Response> Readiness(const App& app, StoreProbe& probe) {
  if (app.draining) return Fail(Errc::kUnavailable, "draining", "the server is stopping");
  if (app.read_only) return Uncached(R"({"status":"read_only"})", "application/json");
  if (const auto written = probe.Check(); written.has_error()) {
    return Fail(Errc::kUnavailable, "store_not_writable",
                "the store takes no writes: " + written.error().message);
  }
  return Uncached(R"({"status":"ready"})", "application/json");
}

Result<http::Response> ReadMetrics(App& app, JobCounts& jobs, const http::Request& request) {
  SIGNUM_TRY(RequireAudit(request));
  Metrics::Gauges gauges;
  if (const http::Server* server = app.server) gauges.connections = server->connections();
  SIGNUM_ASSIGN(gauges.jobs, jobs.Read());
  SIGNUM_ASSIGN(gauges.uploads, app.uploads.Count());
  gauges.damaged = app.objects.damaged();
  SIGNUM_ASSIGN(const DiskSpace space, app.uploads.Space());
  gauges.disk_free = space.free;
  gauges.disk_kept = space.kept;
  gauges.read_only = app.read_only;
  SIGNUM_ASSIGN(gauges.feed_seq, app.catalog.FeedSeq());
  SIGNUM_ASSIGN(const EngineUsage usage, app.engine.Usage());
  gauges.blob_bytes = usage.blob_bytes;
  gauges.metadata_bytes = usage.metadata_bytes;
  return Uncached(app.metrics.Text(gauges), "text/plain; version=0.0.4; charset=utf-8");
}

// A document of the program itself: it may be kept, but asked for again after an update.
http::Response OpenApi(const http::Request&, const http::Params&) {
  http::Response response = http::Json(200, OpenApiDocument());
  response.Set("Cache-Control", "no-cache");
  return response;
}

// The source expression of what stands in the page between <tag> and </tag>: nothing else may run.
std::string InlineHash(std::string_view page, const std::string& tag) {
  const size_t begin = page.find("<" + tag + ">") + tag.size() + 2;
  const std::string_view text = page.substr(begin, page.find("</" + tag + ">") - begin);
  return "'sha256-" + Base64Encode(Sha256::Of(AsBytes(text)).bytes) + "'";
}

http::Handler AdminPage() {
  const std::string_view page = AdminPageHtml();
  const std::string policy = "default-src 'none'; connect-src 'self'; script-src " +
                             InlineHash(page, "script") + "; style-src " +
                             InlineHash(page, "style") +
                             "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
  return [page, policy](const http::Request&, const http::Params&) {
    http::Response response = Uncached(std::string(page), "text/html; charset=utf-8");
    response.Set("Content-Security-Policy", policy);
    response.Set("X-Content-Type-Options", "nosniff");
    response.Set("Referrer-Policy", "no-referrer");
    return response;
  };
}

}  // namespace

void AddOperationRoutes(http::Router& router, App& app) {
  const auto quick = [&router](const char* pattern, http::Handler handler) {
    router.Add(
        {.method = "GET", .pattern = pattern, .handler = std::move(handler), .inline_ok = true});
  };
  quick("/healthz", Health);
  quick("/openapi.json", OpenApi);
  quick("/", AdminPage());
  const auto probe = std::make_shared<StoreProbe>(app.engine);
  router.Add({.method = "GET",
              .pattern = "/readyz",
              .handler = Answer([&app, probe](const http::Request&, const http::Params&) {
                return Readiness(app, *probe);
              })});
  const auto jobs = std::make_shared<JobCounts>(app.catalog);
  router.Add({.method = "GET",
              .pattern = "/metrics",
              .handler = Answer([&app, jobs](const http::Request& request, const http::Params&) {
                return ReadMetrics(app, *jobs, request);
              })});
}

}  // namespace signum
