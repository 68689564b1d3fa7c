#include "client/registry.h"

#include <openssl/rand.h>

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <set>

#include "client/answer_fields.h"
#include "client/sse.h"
#include "storage/base/clock.h"
#include "storage/base/name.h"
#include "storage/format/canonical_json.h"

namespace signum::client {

using nlohmann::json;

namespace {

constexpr std::chrono::seconds kQuick{120};
// Creating a base or a version reads and checks every weight before it answers.
constexpr std::chrono::seconds kValidation{3600};

// The most that these answers take; a body can swell to many times its length as JSON.
constexpr uint64_t kMaxLiveBytes = 16u << 20;  // some 25,000 models
constexpr uint64_t kMaxWatchBytes = 8u << 20;  // a registry sends 1,000 changes at a time
constexpr uint64_t kMaxKeysBytes = 1u << 20;
constexpr size_t kMaxKeys = 1000;

// How often a change is begun anew because of another one at the same time.
constexpr int kRaces = 10;

std::string TenantPath(const std::string& tenant) {
  return "/v1/admin/tenants/" + EscapeSegment(tenant);
}

std::string RandomKey() {
  std::array<std::byte, 16> bytes{};
  RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  return HexEncode(bytes);
}

Result<Change> ParseChange(const json& document, const std::string& registry_url) {
  Change out;
  SIGNUM_ASSIGN(out.seq, JsonNumber(document, "seq"));
  SIGNUM_ASSIGN(const std::string tenant, JsonString(document, "tenant"));
  SIGNUM_ASSIGN(const std::string kind, JsonString(document, "kind"));
  out.removed = kind == "removed";
  if (out.removed) {
    SIGNUM_ASSIGN(out.model.model, JsonString(document, "model"));
  } else {
    SIGNUM_ASSIGN(out.model, ParseLiveModel(document, registry_url));
  }
  out.model.tenant = tenant;
  return out;
}

// The feed's numbers must lie behind the place that was asked for and not past the answer's own: a
// node that believed others would leave out the changes that come next.
Result<void> CheckNumbers(const WatchAnswer& answer, uint64_t since) {
  bool sane = answer.seq >= since;
  for (const Change& change : answer.changes) {
    sane = sane && change.seq > since && change.seq <= answer.seq;
  }
  if (sane) return {};
  return Fail(Errc::kInternal, "bad_answer",
              "/v1/watch: the numbers of the feed do not follow " + std::to_string(since));
}

// What is no JSON is the registry's fault, not that of whoever asked.
Result<json> ReadAnswer(std::string_view what, const HttpResponse& response) {
  Result<json> document = ParseJson(response.body);
  if (document) return document;
  return Fail(Errc::kInternal, "bad_answer", std::string(what) + ": " + document.error().message);
}

Result<Alias> ParseAlias(const HttpResponse& response) {
  SIGNUM_ASSIGN(const json document, ReadAnswer("an alias", response));
  Alias out;
  SIGNUM_ASSIGN(out.version, JsonNumber(document, "version"));
  out.previous = JsonNumberOr(document, "previous", 0);
  out.etag = response.Header("etag");
  return out;
}

}  // namespace

struct Registry::Call {
  std::string method = "GET";
  std::string path;
  std::string body{};
  std::vector<std::pair<std::string, std::string>> headers{};
  std::chrono::seconds timeout = kQuick;
  bool patient = false;
  bool conditional = false;  // 304 is a success
  uint64_t max_body = HttpRequest().max_body;
};

Registry::Registry(RegistryOptions options) : options_(std::move(options)), http_(options_.tls) {}

Result<HttpResponse> Registry::Send(HttpRequest request) {
  SIGNUM_ASSIGN(request.url, ResolveUrl(options_.url, request.url));
  SIGNUM_ASSIGN(const std::string here, UrlOrigin(options_.url));
  SIGNUM_ASSIGN(const std::string there, UrlOrigin(request.url));
  // A URL in an answer may point at a cache elsewhere: that never sees the token.
  if (!options_.token.empty() && here == there) {
    request.headers.emplace_back("Authorization", "Bearer " + options_.token);
  }
  request.stop = options_.stop;
  retry_after_.reset();
  Result<HttpResponse> answer = http_.Send(request);
  if (answer) {
    retry_after_ = ParseRetryAfter(answer->Header("retry-after"), SystemClock().Now());
  }
  return answer;
}

Result<HttpResponse> Registry::SendRetrying(const Call& call) {
  Backoff backoff(call.patient ? options_.patience : options_.retry);
  HttpRequest request;
  request.method = call.method;
  request.url = call.path;
  request.headers = call.headers;
  request.body = call.body;
  request.timeout = call.timeout;
  request.max_body = call.max_body;
  if (!call.body.empty()) request.headers.emplace_back("Content-Type", "application/json");
  if (call.method != "GET" && call.method != "HEAD")
    request.headers.emplace_back("Idempotency-Key", RandomKey());
  while (true) {
    Result<HttpResponse> answer = Send(request);
    const bool same = answer && answer->status == 304 && call.conditional;
    if (answer && (answer->ok() || same)) return answer;
    Error error = answer ? ErrorFromResponse(*answer, call.method + " " + call.path)
                         : std::move(answer).error();
    if (!IsTransient(error)) return error;
    const std::optional<Millis> wait = backoff.Next(retry_after_);
    if (!wait || !SleepFor(*wait, options_.stop)) return error;
  }
}

Result<json> Registry::AnswerJson(const Call& call, const HttpResponse& response) {
  return ReadAnswer(call.path, response);
}

Result<json> Registry::SendJson(const Call& call) {
  SIGNUM_ASSIGN(const HttpResponse response, SendRetrying(call));
  return AnswerJson(call, response);
}

Result<json> Registry::GetJson(const std::string& path) { return SendJson({.path = path}); }

Result<json> Registry::GetList(const std::string& path, const std::string& plural) {
  json all = json::array();
  std::string after;
  do {
    const std::string separator = path.find('?') == path.npos ? "?" : "&";
    SIGNUM_ASSIGN(const json page,
                  GetJson(path + separator + "limit=1000" +
                          (after.empty() ? "" : "&after=" + EscapeSegment(after))));
    SIGNUM_ASSIGN(const json* items, JsonArray(page, plural.c_str()));
    all.insert(all.end(), items->begin(), items->end());
    const std::string next = JsonCell(page, "next");
    if (next == after) break;
    after = next == "-" ? "" : next;
  } while (!after.empty());
  json list = json::object();
  list[plural] = std::move(all);
  return Result<json>(boost::system::in_place_value, std::move(list));
}

std::string Registry::VersionPath(const std::string& tenant, const std::string& model,
                                  const std::string& version) const {
  return "/v1/tenants/" + EscapeSegment(tenant) + "/models/" + EscapeSegment(model) + "/versions" +
         (version.empty() ? "" : "/" + EscapeSegment(version));
}

// ---- uploads

Result<json> Registry::CreateUpload(const json& files) {
  return SendJson({.method = "POST",
                   .path = "/v1/uploads",
                   .body = json{{"files", files}}.dump(),
                   .patient = true});
}

Result<uint64_t> Registry::UploadOffset(const std::string& url) {
  SIGNUM_ASSIGN(const HttpResponse response, SendRetrying({.method = "HEAD",
                                                           .path = url,
                                                           .headers = {{"Tus-Resumable", "1.0.0"}},
                                                           .patient = true}));
  uint64_t offset = 0;
  const std::string_view text = response.Header("upload-offset");
  if (text.empty() ||
      std::from_chars(text.data(), text.data() + text.size(), offset).ec != std::errc()) {
    return Fail(Errc::kInternal, "bad_answer", url + ": no Upload-Offset in the answer");
  }
  return offset;
}

Result<uint64_t> Registry::PatchUpload(const std::string& url, uint64_t offset, ConstBytes bytes,
                                       const std::function<void(uint64_t)>& on_sent) {
  HttpRequest request;
  request.method = "PATCH";
  request.url = url;
  request.headers = {{"Tus-Resumable", "1.0.0"},
                     {"Upload-Offset", std::to_string(offset)},
                     {"Content-Type", "application/offset+octet-stream"}};
  request.upload = bytes;
  request.on_sent = on_sent;
  request.timeout = std::chrono::seconds{0};
  SIGNUM_ASSIGN(const HttpResponse response, Send(request));
  if (!response.ok()) return ErrorFromResponse(response, "PATCH " + url);
  return offset + bytes.size();
}

Result<void> Registry::DeleteUpload(const std::string& id) {
  SIGNUM_TRY(SendRetrying({.method = "DELETE", .path = "/v1/uploads/" + EscapeSegment(id)}));
  return {};
}

// ---- resources

Result<json> Registry::CreateBase(const std::string& name, const std::string& upload) {
  return SendJson({.method = "POST",
                   .path = "/v1/bases/" + EscapeSegment(name),
                   .body = json{{"upload", upload}}.dump(),
                   .timeout = kValidation,
                   .patient = true});
}

Result<json> Registry::ListBases() { return GetList("/v1/bases", "bases"); }

Result<json> Registry::GetBase(const std::string& name) {
  return GetJson("/v1/bases/" + EscapeSegment(name));
}

Result<json> Registry::ListTenants() { return GetList("/v1/tenants", "tenants"); }

Result<json> Registry::ListModels(const std::string& tenant) {
  return GetList("/v1/tenants/" + EscapeSegment(tenant) + "/models", "models");
}

Result<json> Registry::ListVersions(const std::string& tenant, const std::string& model) {
  return GetList(VersionPath(tenant, model, ""), "versions");
}

Result<json> Registry::GetVersion(const std::string& tenant, const std::string& model,
                                  const std::string& version) {
  return GetJson(VersionPath(tenant, model, version));
}

Result<json> Registry::CreateVersion(const std::string& tenant, const std::string& model,
                                     const json& spec) {
  return SendJson({.method = "POST",
                   .path = VersionPath(tenant, model, ""),
                   .body = spec.dump(),
                   .timeout = kValidation,
                   .patient = true});
}

// ---- aliases

namespace {
std::string AliasPath(const std::string& tenant, const std::string& model,
                      const std::string& alias) {
  return "/v1/tenants/" + EscapeSegment(tenant) + "/models/" + EscapeSegment(model) + "/aliases/" +
         EscapeSegment(alias);
}
}  // namespace

Result<Alias> Registry::GetAlias(const std::string& tenant, const std::string& model,
                                 const std::string& alias) {
  SIGNUM_ASSIGN(const HttpResponse response,
                SendRetrying({.path = AliasPath(tenant, model, alias)}));
  return ParseAlias(response);
}

Result<Alias> Registry::SetAlias(const std::string& tenant, const std::string& model,
                                 const std::string& alias, uint64_t version,
                                 const std::string& etag) {
  Call call{.method = "PUT",
            .path = AliasPath(tenant, model, alias),
            .body = json{{"version", version}}.dump()};
  call.headers.emplace_back(etag.empty() ? "If-None-Match" : "If-Match", etag.empty() ? "*" : etag);
  SIGNUM_ASSIGN(const HttpResponse response, SendRetrying(call));
  return ParseAlias(response);
}

// ---- nodes

Result<LiveState> Registry::Live(const std::string& tenant, const LiveState* known) {
  Call call{.path = "/v1/tenants/" + EscapeSegment(tenant) + "/live", .max_body = kMaxLiveBytes};
  call.conditional = known != nullptr && !known->etag.empty();
  if (call.conditional) call.headers.emplace_back("If-None-Match", known->etag);
  SIGNUM_ASSIGN(const HttpResponse response, SendRetrying(call));
  if (response.status == 304) return *known;
  SIGNUM_ASSIGN(const json document, AnswerJson(call, response));
  LiveState out;
  out.etag = response.Header("etag");
  SIGNUM_ASSIGN(out.seq, JsonNumber(document, "seq"));
  SIGNUM_ASSIGN(const json* models, JsonArray(document, "models"));
  std::set<std::string> names;
  for (const json& item : *models) {
    SIGNUM_ASSIGN(LiveModel model, ParseLiveModel(item, options_.url));
    if (!names.insert(model.model).second) {
      return Fail(Errc::kInternal, "bad_answer",
                  call.path + " names the model '" + model.model + "' twice");
    }
    model.tenant = tenant;
    out.models.push_back(std::move(model));
  }
  return out;
}

Result<WatchAnswer> Registry::Watch(const std::vector<std::string>& tenants, uint64_t since,
                                    std::chrono::seconds wait) {
  HttpRequest request;
  request.url =
      "/v1/watch?since=" + std::to_string(since) + "&wait=" + std::to_string(wait.count());
  for (const std::string& tenant : tenants) request.url += "&tenant=" + EscapeSegment(tenant);
  request.timeout = wait + std::chrono::seconds{30};
  request.max_body = kMaxWatchBytes;
  SIGNUM_ASSIGN(const HttpResponse response, Send(request));  // the caller loops and backs off
  if (!response.ok()) return ErrorFromResponse(response, "GET /v1/watch");
  SIGNUM_ASSIGN(const json document, ReadAnswer("/v1/watch", response));
  WatchAnswer out;
  SIGNUM_ASSIGN(out.seq, JsonNumber(document, "seq"));
  SIGNUM_ASSIGN(const json* changes, JsonArray(document, "changes"));
  for (const json& item : *changes) {
    SIGNUM_ASSIGN(Change change, ParseChange(item, options_.url));
    out.changes.push_back(std::move(change));
  }
  SIGNUM_TRY(CheckNumbers(out, since));
  return out;
}

Result<void> Registry::PutNode(const std::string& node, const json& report) {
  SIGNUM_TRY(SendRetrying({.method = "PUT",
                           .path = "/v1/nodes/" + EscapeSegment(node),
                           .body = report.dump(-1, ' ', false, json::error_handler_t::replace)}));
  return {};
}

Result<json> Registry::ListNodes() { return GetList("/v1/nodes", "nodes"); }

Result<std::vector<RegistryKey>> Registry::Keys() {
  SIGNUM_ASSIGN(const json document, SendJson({.path = "/v1/keys", .max_body = kMaxKeysBytes}));
  SIGNUM_ASSIGN(const json* keys, JsonArray(document, "keys"));
  if (keys->size() > kMaxKeys) {
    return Fail(Errc::kInternal, "bad_answer",
                "/v1/keys lists more than " + std::to_string(kMaxKeys) + " keys");
  }
  std::vector<RegistryKey> out;
  for (const json& item : *keys) {
    if (JsonStringOr(item, "alg", "") != "ed25519") continue;
    SIGNUM_ASSIGN(const std::string text, JsonString(item, "public"));
    SIGNUM_ASSIGN(PublicKey key, PublicKey::FromBase64(text));
    std::string endorsement;
    if (!Base64Decode(JsonStringOr(item, "endorsement", ""), &endorsement)) endorsement.clear();
    out.push_back({JsonStringOr(item, "id", ""), std::move(key), std::move(endorsement)});
  }
  return out;
}

// ---- jobs

Result<json> Registry::ListJobs() { return GetList("/v1/jobs", "jobs"); }

Result<json> Registry::GetJob(const std::string& id) {
  return GetJson("/v1/jobs/" + EscapeSegment(id));
}

Result<Job> ParseJob(const json& document) {
  Job out;
  SIGNUM_ASSIGN(out.id, JsonString(document, "id"));
  SIGNUM_ASSIGN(out.state, JsonString(document, "state"));
  out.phase = JsonStringOr(document, "phase", "");
  out.tenant = JsonStringOr(document, "tenant", "");
  out.model = JsonStringOr(document, "model", "");
  out.version = JsonNumberOr(document, "version", 0);
  out.progress = JsonRealOr(document, "progress", 0);
  out.rate = JsonRealOr(document, "rate", 0);
  out.eta = JsonRealOr(document, "eta", -1);
  if (const auto error = document.find("error"); error != document.end() && error->is_object()) {
    out.error_code = JsonStringOr(*error, "code", "");
    out.error_message = JsonStringOr(*error, "message", "");
  }
  return out;
}

// Reads the job's events until the stream ends; true where that was its proper end.
Result<bool> Registry::ReadJobEvents(const std::string& id,
                                     const std::function<void(const Job&)>& on_change) {
  bool ended = false;
  SseParser parser([&](const SseEvent& event) -> Result<void> {
    const Result<Job> seen = ParseJob(json::parse(event.data, nullptr, false));
    if (event.event == "progress" && seen) on_change(*seen);
    if (event.event == "end") ended = true;
    return {};
  });
  HttpRequest request;
  request.url = "/v1/jobs/" + EscapeSegment(id) + "/events";
  request.headers.emplace_back("Accept", "text/event-stream");
  request.timeout = std::chrono::seconds{0};
  request.sink = [&](ConstBytes bytes) { return parser.Take(AsText(bytes)); };
  const Result<HttpResponse> answer = Send(request);
  if (!answer && !IsTransient(answer.error())) return answer.error();
  return ended;
}

Result<Job> Registry::FollowJob(const std::string& id,
                                const std::function<void(const Job&)>& on_change) {
  Backoff backoff(options_.patience);
  while (true) {
    SIGNUM_ASSIGN(const json document,
                  SendJson({.path = "/v1/jobs/" + EscapeSegment(id), .patient = true}));
    SIGNUM_ASSIGN(Job job, ParseJob(document));
    on_change(job);
    if (job.finished()) return job;
    SIGNUM_ASSIGN(const bool ended, ReadJobEvents(id, [&](const Job& seen) {
                    backoff.Reset();
                    on_change(seen);
                  }));
    if (ended) continue;
    // The stream broke off, or this registry has none: look again a little later.
    if (!SleepFor(backoff.Next().value_or(options_.patience.cap), options_.stop)) {
      return Fail(Errc::kCancelled, "cancelled", "stopped while job " + id + " runs");
    }
  }
}

// ---- audit and tokens

Result<json> Registry::Savings(const std::string& by) {
  return GetJson("/v1/audit/savings?by=" + EscapeSegment(by));
}

Result<std::string> Registry::SavingsCsv(const std::string& by) {
  SIGNUM_ASSIGN(HttpResponse response,
                SendRetrying({.path = "/v1/audit/savings?format=csv&by=" + EscapeSegment(by)}));
  return std::move(response.body);
}

Result<json> Registry::AuditLog() { return GetList("/v1/audit/log", "entries"); }

Result<json> Registry::StartMaintenance(const std::string& kind, const json& request) {
  return SendJson({.method = "POST", .path = "/v1/admin/" + kind, .body = request.dump()});
}

Result<json> Registry::CreateToken(const json& spec) {
  return SendJson({.method = "POST", .path = "/v1/admin/tokens", .body = spec.dump()});
}

Result<json> Registry::ListTokens() { return GetList("/v1/admin/tokens", "tokens"); }

Result<void> Registry::RevokeToken(const std::string& id) {
  SIGNUM_TRY(SendRetrying({.method = "DELETE", .path = "/v1/admin/tokens/" + EscapeSegment(id)}));
  return {};
}

Result<json> Registry::RotateToken(const std::string& id, uint64_t grace_seconds) {
  return SendJson({.method = "POST",
                   .path = "/v1/admin/tokens/" + EscapeSegment(id) + "/rotate",
                   .body = json({{"grace_seconds", grace_seconds}}).dump()});
}

Result<json> Registry::ListKeys() { return GetJson("/v1/keys"); }

Result<json> Registry::RotateKey() {
  return SendJson({.method = "POST", .path = "/v1/admin/keys/rotate"});
}

Result<json> Registry::GetTenant(const std::string& tenant) { return GetJson(TenantPath(tenant)); }

Result<json> Registry::ChangeQuota(const std::string& tenant, const json& change) {
  for (int attempt = 1;; ++attempt) {
    Call call{.path = TenantPath(tenant)};
    SIGNUM_ASSIGN(const HttpResponse seen, SendRetrying(call));
    SIGNUM_ASSIGN(const json settings, AnswerJson(call, seen));
    json quota = settings.value("quota", json::object());
    quota.update(change);
    call.method = "PUT";
    call.body = json{{"quota", std::move(quota)}}.dump();
    call.headers.emplace_back("If-Match", std::string(seen.Header("etag")));
    Result<json> changed = SendJson(call);
    const bool raced = changed.has_error() && changed.error().code == Errc::kPrecondition;
    if (!raced || attempt == kRaces) return changed;
  }
}

Result<json> Registry::GetMode() { return GetJson("/v1/admin/mode"); }

Result<json> Registry::SetMode(bool read_only) {
  return SendJson(
      {.method = "PUT", .path = "/v1/admin/mode", .body = json{{"read_only", read_only}}.dump()});
}

Result<std::string> Registry::GetBytes(const std::string& url, uint64_t limit) {
  SIGNUM_ASSIGN(HttpResponse response, SendRetrying({.path = url}));
  if (response.body.size() > limit) {
    return Fail(Errc::kTooLarge, "body_too_large",
                url + " is over " + std::to_string(limit) + " bytes");
  }
  return std::move(response.body);
}

}  // namespace signum::client
