#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "client/http_client.h"
#include "client/live_model.h"
#include "client/retry.h"
#include "storage/base/digest.h"
#include "storage/base/result.h"
#include "storage/format/signature.h"

namespace signum::client {

struct RegistryOptions {
  std::string url;    // "http://127.0.0.1:8080"
  std::string token;  // empty: none is sent
  ClientTls tls;
  RetryPolicy retry{Millis{200}, Millis{5'000}, 5};  // of a quick call
  // Of what took or takes long: uploads, downloads, followed jobs, creating bases and versions. It
  // outlasts a restart of the registry; progress earns the tries anew.
  RetryPolicy patience{Millis{200}, Millis{5'000}, 15};
  std::stop_token stop;  // ends every call with Errc::kCancelled
};

struct LiveState {
  uint64_t seq = 0;
  std::vector<LiveModel> models;
  std::string etag;
};

struct Change {
  uint64_t seq = 0;
  bool removed = false;  // only tenant and model of `model` are set
  LiveModel model;
};

struct WatchAnswer {
  uint64_t seq = 0;
  std::vector<Change> changes;
};

struct Job {
  std::string id, state, phase, error_code, error_message, tenant, model;
  uint64_t version = 0;
  double progress = 0;
  double rate = 0;
  double eta = -1;

  bool finished() const { return state == "done" || state == "failed" || state == "cancelled"; }
};

struct Alias {
  uint64_t version = 0;
  uint64_t previous = 0;  // 0: none
  std::string etag;
};

struct RegistryKey {
  std::string id;
  PublicKey key;
  std::string endorsement;  // 64 bytes by the key before it, or empty
};

// A typed client of the REST interface (API.md). Calls that fail for a passing reason (connection,
// 429, 502, 503, 504) are tried again as RetryPolicy says; mutations carry an Idempotency-Key, so
// that a try that got through unnoticed is not done twice. One thread at a time; the connection is
// kept.
//
// Errors: those of HttpClient, and the registry's problem documents: `reason` is the document's
// `code`, `message` its detail, the code follows from the status.
class Registry {
 public:
  explicit Registry(RegistryOptions options);

  // ---- uploads: see upload.h for whole directories
  Result<nlohmann::json> CreateUpload(const nlohmann::json& files);
  Result<uint64_t> UploadOffset(const std::string& url);
  // One tus PATCH; returns the new offset. Not retried: the caller asks for the offset first.
  Result<uint64_t> PatchUpload(const std::string& url, uint64_t offset, ConstBytes bytes,
                               const std::function<void(uint64_t)>& on_sent);
  Result<void> DeleteUpload(const std::string& id);

  // ---- resources, as the registry answers them
  Result<nlohmann::json> CreateBase(const std::string& name, const std::string& upload);
  Result<nlohmann::json> ListBases();
  Result<nlohmann::json> GetBase(const std::string& name);
  Result<nlohmann::json> ListTenants();
  Result<nlohmann::json> ListModels(const std::string& tenant);
  Result<nlohmann::json> ListVersions(const std::string& tenant, const std::string& model);
  // `version`: a number or an alias.
  Result<nlohmann::json> GetVersion(const std::string& tenant, const std::string& model,
                                    const std::string& version);
  // `spec`: upload, base and options, as the API has them. Returns {version, job, …}.
  Result<nlohmann::json> CreateVersion(const std::string& tenant, const std::string& model,
                                       const nlohmann::json& spec);
  Result<void> DeleteVersion(const std::string& tenant, const std::string& model, uint64_t version);

  // ---- aliases
  Result<Alias> GetAlias(const std::string& tenant, const std::string& model,
                         const std::string& alias);
  // Compare-and-set: `etag` of the alias as it was read; empty: it must not exist yet.
  Result<Alias> SetAlias(const std::string& tenant, const std::string& model,
                         const std::string& alias, uint64_t version, const std::string& etag);

  // ---- nodes
  // `known`: what the caller has; while the registry's is the same, no list crosses the wire
  // (If-None-Match, 304) and a copy of `known` is the answer.
  Result<LiveState> Live(const std::string& tenant, const LiveState* known = nullptr);
  // Waits at the registry for up to `wait`. Errc::kNotFound "feed_gone": read Live again. kInternal
  // "bad_answer" also where the feed's numbers do not follow `since`.
  Result<WatchAnswer> Watch(const std::vector<std::string>& tenants, uint64_t since,
                            std::chrono::seconds wait);
  Result<void> PutNode(const std::string& node, const nlohmann::json& report);
  Result<nlohmann::json> ListNodes();
  Result<std::vector<RegistryKey>> Keys();

  // ---- jobs
  Result<nlohmann::json> ListJobs();
  Result<nlohmann::json> GetJob(const std::string& id);
  // A queued job is cancelled at once, a running one asked to stop: the job as it is then.
  Result<nlohmann::json> CancelJob(const std::string& id);
  // Follows a job by its events (by polling where those break off) to its end; `on_change` sees
  // every state on the way. Returns the last; a failed job is not an error of this call.
  Result<Job> FollowJob(const std::string& id, const std::function<void(const Job&)>& on_change);

  // ---- audit and tokens
  Result<nlohmann::json> Savings(const std::string& by);
  Result<std::string> SavingsCsv(const std::string& by);
  Result<nlohmann::json> AuditLog();
  // Queues a job of the store itself: `kind` is gc, scrub or backup. Returns {job, url}.
  Result<nlohmann::json> StartMaintenance(const std::string& kind, const nlohmann::json& request);
  Result<nlohmann::json> CreateToken(const nlohmann::json& spec);
  Result<nlohmann::json> ListTokens();
  Result<void> RevokeToken(const std::string& id);
  Result<nlohmann::json> RotateToken(const std::string& id, uint64_t grace_seconds);
  Result<nlohmann::json> ListKeys();                            // as /v1/keys answers
  Result<nlohmann::json> RotateKey();                           // the new one
  Result<nlohmann::json> GetTenant(const std::string& tenant);  // settings and usage
  // Sets what `change` names of a tenant's {quota, policy} (null: the server's default, no rule)
  // and keeps the rest, whoever else changes it meanwhile. Returns the settings.
  Result<nlohmann::json> ChangeTenant(const std::string& tenant, const nlohmann::json& change);
  Result<nlohmann::json> GetMode();  // {read_only}
  Result<nlohmann::json> SetMode(bool read_only);

  // ---- bytes
  // A small resource in memory; `url` may be relative.
  Result<std::string> GetBytes(const std::string& url, uint64_t limit);
  // One try of a ranged download: see download.h.
  Result<HttpResponse> Send(HttpRequest request);

  // The Retry-After of the last answer; nullopt where it had none, or where there was no answer.
  // For callers that pace their tries themselves.
  std::optional<Millis> retry_after() const { return retry_after_; }

  const RegistryOptions& options() const { return options_; }
  std::string VersionPath(const std::string& tenant, const std::string& model,
                          const std::string& version) const;

 private:
  struct Call;
  Result<HttpResponse> SendRetrying(const Call& call);
  Result<nlohmann::json> SendJson(const Call& call);
  static Result<nlohmann::json> AnswerJson(const Call& call, const HttpResponse& response);
  Result<bool> ReadJobEvents(const std::string& id,
                             const std::function<void(const Job&)>& on_change);
  Result<nlohmann::json> GetJson(const std::string& path);
  // Every page of a list, put together under its plural name.
  Result<nlohmann::json> GetList(const std::string& path, const std::string& plural);

  RegistryOptions options_;
  HttpClient http_;
  std::optional<Millis> retry_after_;
};

Result<Job> ParseJob(const nlohmann::json& document);

// The Error of an answer that is not a success.
Error ErrorFromResponse(const HttpResponse& response, std::string_view what);
// Whether the same call may succeed a little later without anybody doing anything.
bool IsTransient(const Error& error);

}  // namespace signum::client
