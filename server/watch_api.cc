#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "server/app.h"
#include "server/handler.h"
#include "server/live_json.h"
#include "server/metrics.h"
#include "server/principal.h"
#include "server/watch_hub.h"
#include "storage/base/name.h"

namespace signum {
namespace {

using nlohmann::json;

constexpr uint64_t kDefaultWait = 30;  // seconds
constexpr uint64_t kMaxWait = 60;
constexpr size_t kMaxChanges = 1000;  // of one answer; what is more comes with the next

// A feed read on behalf of one request: long poll and event stream are two ways to deliver it.
// Called by one thread at a time.
class FeedReader {
 public:
  FeedReader(const Catalog& catalog, http::Request request, std::vector<std::string> tenants,
             uint64_t since)
      : catalog_(catalog),
        request_(std::move(request)),
        tenants_(std::move(tenants)),
        since_(since) {}

  // The changes since the last call. kNotFound "feed_gone" as Catalog::ReadFeed.
  Result<std::vector<json>> Read() {
    // Before reading: every entry up to here is in what ReadFeed gives, so later reads may start
    // here.
    SIGNUM_ASSIGN(const uint64_t newest, catalog_.FeedSeq());
    SIGNUM_ASSIGN(const auto entries, catalog_.ReadFeed(tenants_, since_, kMaxChanges));
    const bool all = entries.size() < kMaxChanges;
    if (!entries.empty()) since_ = entries.back().seq;
    if (all) since_ = std::max(since_, newest);
    std::vector<json> changes;
    for (const FeedEntry& entry : entries) {
      SIGNUM_ASSIGN(json change, Describe(entry));
      if (!change.is_null()) changes.push_back(std::move(change));
    }
    return changes;
  }

  uint64_t since() const { return since_; }
  const std::vector<std::string>& tenants() const { return tenants_; }
  const std::string& request_id() const { return request_.id; }

 private:
  // null for an entry whose version is gone: a later entry replaced it.
  Result<json> Describe(const FeedEntry& entry) const {
    json change = {{"model", entry.model}, {"version", nullptr}};
    if (entry.kind == "live") {
      const auto version = catalog_.GetVersion(entry.tenant, entry.model, entry.version);
      if (version.has_error()) {
        if (version.error().code != Errc::kNotFound) return version.error();
        return {boost::system::in_place_value, nullptr};
      }
      change = LiveEntry(request_, *version);
    }
    change["seq"] = entry.seq;
    change["tenant"] = entry.tenant;
    change["kind"] = entry.kind;
    change["at"] = FormatTime(entry.at);
    return {boost::system::in_place_value, std::move(change)};
  }

  const Catalog& catalog_;
  http::Request request_;  // for links
  std::vector<std::string> tenants_;
  uint64_t since_;
};

http::Response FeedProblem(const Error& error, std::string_view request_id) {
  if (error.reason == "feed_gone") {
    return http::ProblemStatus(410, error.reason, error.message, request_id);
  }
  return http::Problem(error, request_id);
}

http::Response Changes(const FeedReader& reader, std::vector<json> changes) {
  http::Response response =
      http::Json(200, json({{"seq", reader.since()}, {"changes", std::move(changes)}}).dump());
  response.Set("Cache-Control", "no-store");
  return response;
}

// The answer, if there is one yet.
std::optional<http::Response> Poll(FeedReader& reader, bool timed_out) {
  auto changes = reader.Read();
  if (changes.has_error()) return FeedProblem(changes.error(), reader.request_id());
  if (changes->empty() && !timed_out) return std::nullopt;
  return Changes(reader, *std::move(changes));
}

std::optional<std::string> Events(FeedReader& reader) {
  const auto changes = reader.Read();
  if (changes.has_error()) return std::nullopt;  // the client reconnects and learns of a 410 then
  std::string events;
  for (const json& change : *changes) {
    events += "id: " + change["seq"].dump() + "\nevent: change\ndata: " + change.dump() + "\n\n";
  }
  return events;
}

// What a request asks to watch.
struct Watch {
  std::vector<std::string> tenants;
  std::optional<uint64_t> since;
  uint64_t wait = kDefaultWait;
  bool events = false;
};

Result<std::optional<uint64_t>> QueryNumber(std::string_view name,
                                            std::optional<std::string_view> text) {
  uint64_t number = 0;
  if (!text) return std::optional<uint64_t>();
  if (!ParseNumber(*text, &number)) {
    return Fail(Errc::kInvalid, "bad_query", std::string(name) + " must be a whole number");
  }
  return std::optional(number);
}

Result<std::vector<std::string>> WatchedTenants(const http::Request& request) {
  std::set<std::string> tenants;
  for (const std::string_view tenant : request.QueryAll("tenant")) tenants.emplace(tenant);
  if (tenants.empty()) {
    const auto& own = Caller(request).tenants;
    tenants.insert(own.begin(), own.end());
  }
  if (tenants.empty()) {
    return Fail(Errc::kInvalid, "bad_query", "query parameter 'tenant' is missing");
  }
  for (const std::string& tenant : tenants) {
    SIGNUM_TRY(CheckName("tenant", tenant));
    SIGNUM_TRY(RequireRead(request, tenant));
  }
  return std::vector<std::string>(tenants.begin(), tenants.end());
}

Result<Watch> ParseWatch(const http::Request& request) {
  Watch watch;
  SIGNUM_ASSIGN(watch.tenants, WatchedTenants(request));
  watch.events = request.Header("accept").find("text/event-stream") != std::string_view::npos;
  SIGNUM_ASSIGN(watch.since, QueryNumber("since", request.Query("since")));
  const std::string_view last = request.Header("last-event-id");
  if (watch.events && !last.empty()) {
    SIGNUM_ASSIGN(watch.since, QueryNumber("Last-Event-ID", last));
  }
  SIGNUM_ASSIGN(const auto wait, QueryNumber("wait", request.Query("wait")));
  watch.wait = wait.value_or(kDefaultWait);
  if (watch.wait > kMaxWait) {
    return Fail(Errc::kInvalid, "bad_query", "wait must be from 0 to 60 seconds");
  }
  return watch;
}

// Of the request, what links need: a watcher waits for long, and there are many.
http::Request ForLinks(const http::Request& request) {
  http::Request kept;
  kept.id = request.id;
  kept.base_url = request.base_url;
  return kept;
}

class WatchEndpoint {
 public:
  explicit WatchEndpoint(App& app) : app_(app), hub_(app.catalog) {}

  Result<http::Response> Get(const http::Request& request) {
    SIGNUM_ASSIGN(Watch watch, ParseWatch(request));
    uint64_t since = 0;
    if (watch.since) {
      since = *watch.since;
    } else {
      SIGNUM_ASSIGN(since, app_.catalog.FeedSeq());
    }
    const bool events = watch.events;
    auto reader = std::make_shared<FeedReader>(app_.catalog, ForLinks(request),
                                               std::move(watch.tenants), since);
    if (events) return Stream(std::move(reader));
    if (watch.wait == 0) return *Poll(*reader, true);
    return Wait(std::move(reader), std::chrono::seconds(watch.wait));
  }

 private:
  http::Subscribe Subscription(const std::shared_ptr<FeedReader>& reader) {
    return [this, reader](std::function<void()> wake) -> std::shared_ptr<void> {
      using Held = std::pair<std::shared_ptr<void>, std::shared_ptr<void>>;
      return std::make_shared<Held>(app_.metrics.CountWatcher(),
                                    hub_.Subscribe(reader->tenants(), std::move(wake)));
    };
  }

  http::Response Wait(std::shared_ptr<FeedReader> reader, std::chrono::milliseconds timeout) {
    http::Pending pending;
    pending.subscribe = Subscription(reader);
    pending.poll = [reader](bool timed_out) { return Poll(*reader, timed_out); };
    pending.timeout = timeout;
    http::Response response;
    response.body = std::move(pending);
    return response;
  }

  // Whatever is wrong with `since` is said before the stream begins.
  Result<http::Response> Stream(std::shared_ptr<FeedReader> reader) {
    const auto known = app_.catalog.ReadFeed(reader->tenants(), reader->since(), 1);
    if (known.has_error()) return FeedProblem(known.error(), reader->request_id());
    http::EventStream stream;
    stream.subscribe = Subscription(reader);
    stream.next = [reader] { return Events(*reader); };
    http::Response response;
    response.Set("Content-Type", "text/event-stream");
    response.Set("Cache-Control", "no-store");
    response.body = std::move(stream);
    return response;
  }

  App& app_;
  WatchHub hub_;
};

}  // namespace

void AddWatchRoutes(http::Router& router, App& app) {
  auto endpoint = std::make_shared<WatchEndpoint>(app);
  router.Add({.method = "GET",
              .pattern = "/v1/watch",
              .handler = Answer([endpoint](const http::Request& request, const http::Params&) {
                return endpoint->Get(request);
              })});
}

}  // namespace signum
