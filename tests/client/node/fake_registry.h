#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "client/live_model.h"
#include "server/http/server.h"
#include "storage/format/manifest.h"
#include "storage/format/signature.h"
#include "tests/client/node/node_fixtures.h"

namespace signum::client {

// The part of a registry that a node talks to, with a hand on every answer: live, watch, keys,
// deltas, manifests and node reports, over the real transport. Faults are queued and used up one an
// answer.
class FakeRegistry {
 public:
  // `port` 0 takes a free one; another takes that again after a Stop.
  explicit FakeRegistry(uint16_t port = 0) { Start(port); }
  ~FakeRegistry() { Stop(); }

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  uint16_t port() const { return port_; }

  void Start(uint16_t port) {
    http::Router router;
    Route(router, "GET", "/v1/keys", [this](const auto&, const auto&) { return Keys(); });
    Route(router, "GET", "/v1/tenants/{tenant}/live",
          [this](const auto& request, const auto& params) { return Live(request, params[0]); });
    Route(router, "GET", "/v1/watch",
          [this](const auto& request, const auto&) { return Watch(request); });
    Route(router, "GET", "/delta/{hex}",
          [this](const auto& request, const auto& params) { return Delta(request, params[0]); });
    Route(router, "GET", "/manifest/{hex}",
          [this](const auto&, const auto& params) { return Bytes(manifests_, params[0]); });
    Route(router, "PUT", "/v1/nodes/{node}",
          [this](const auto& request, const auto&) { return Report(request); });
    http::ServerOptions options;
    options.port = port;
    options.io_threads = 1;
    options.pool_threads = 4;
    http::Server::Hooks hooks;
    hooks.gate = [](auto&&...) { return std::nullopt; };
    hooks.observe = [](const http::AccessRecord&) {};
    server_ = http::Server::Start(options, std::move(router), std::move(hooks)).value();
    port_ = server_->port();
  }
  void Stop() {
    if (server_) server_->Stop(std::chrono::milliseconds{0});
    server_.reset();
  }

  // ---- what it has

  const SigningKey& key() const { return key_; }

  // Publishes a version of tenant/model whose weights all hold `fill`. `edit` may spoil the
  // manifest, `signer` sign it with another key.
  LiveModel Publish(const std::string& tenant, const std::string& model, uint64_t version,
                    char fill, const std::filesystem::path& scratch,
                    const std::function<void(Manifest&)>& edit = {},
                    const SigningKey* signer = nullptr) {
    const std::string delta = MakeDelta(scratch, base_, fill);
    Manifest manifest = MakeManifest(tenant, model, version, base_, delta);
    LiveModel live = LiveOf(manifest, "", "");
    if (edit) edit(manifest);
    const std::string envelope = manifest.Sign(signer != nullptr ? *signer : key_);
    live.manifest_digest = Sha256::Of(AsBytes(envelope));
    live.url = "/delta/" + live.digest.Hex();
    live.manifest_url = "/manifest/" + live.manifest_digest.Hex();
    const std::lock_guard lock(mutex_);
    deltas_[live.digest.Hex()] = delta;
    manifests_[live.manifest_digest.Hex()] = envelope;
    SetLive(live);
    return live;
  }
  void Remove(const std::string& tenant, const std::string& model) {
    const std::lock_guard lock(mutex_);
    live_.erase({tenant, model});
    feed_.push_back({{"seq", ++seq_}, {"tenant", tenant}, {"model", model}, {"kind", "removed"}});
  }
  // Points live back at something published before.
  void MakeLive(const LiveModel& live) {
    const std::lock_guard lock(mutex_);
    SetLive(live);
  }
  void ForgetFeed() {
    const std::lock_guard lock(mutex_);
    feed_.clear();
    forgotten_ = seq_ + 1;
    ++seq_;
  }

  // ---- faults of the delta route, one an answer

  using Fault = std::function<http::Response(const http::Request&, const std::string& delta)>;
  void Break(Fault fault) {
    const std::lock_guard lock(mutex_);
    faults_.push_back(std::move(fault));
  }

  void Mend() {
    const std::lock_guard lock(mutex_);
    faults_.clear();
  }

  // The next answers to watch, or of live for a tenant, are this status with a Retry-After.
  void RefuseWatch(int status, int seconds) {
    const std::lock_guard lock(mutex_);
    watch_refusals_.push_back(Refusal(status, seconds));
  }
  void RefuseLive(const std::string& tenant, int status, int seconds) {
    const std::lock_guard lock(mutex_);
    live_refusals_[tenant].push_back(Refusal(status, seconds));
  }
  void RefuseReport(int status, int seconds) {
    const std::lock_guard lock(mutex_);
    report_refusals_.push_back(Refusal(status, seconds));
  }

  // ---- what was seen

  using Moment = std::chrono::steady_clock::time_point;
  std::vector<Moment> watches() {
    const std::lock_guard lock(mutex_);
    return watches_;
  }
  std::vector<Moment> reports() {
    const std::lock_guard lock(mutex_);
    return reports_;
  }
  int live_lists() const { return live_lists_; }          // sent whole
  int live_unchanged() const { return live_unchanged_; }  // 304

  nlohmann::json last_report() {
    const std::lock_guard lock(mutex_);
    return report_;
  }
  // The entry of the last report for this model and state, or null.
  nlohmann::json Reported(const std::string& model, const std::string& state) {
    const std::lock_guard lock(mutex_);
    for (const auto& entry : report_.value("models", nlohmann::json::array())) {
      if (entry["model"] == model && entry["state"] == state) return entry;
    }
    return nullptr;
  }
  int delta_requests() const { return delta_requests_; }
  int ranged_requests() const { return ranged_requests_; }
  Digest base() const { return base_; }

  // The whole delta or the range asked for, as the registry serves it.
  static http::Response ServeRange(const http::Request& request, const std::string& delta,
                                   std::string etag) {
    http::Response response;
    size_t begin = 0;
    size_t last = delta.size() - 1;
    const std::string range(request.Header("range"));
    const std::string_view condition = request.Header("if-range");
    const bool ranged = range.starts_with("bytes=") && (condition.empty() || condition == etag);
    if (ranged) {
      const size_t dash = range.find('-');
      begin = std::stoull(range.substr(6));
      if (dash + 1 < range.size()) last = std::stoull(range.substr(dash + 1));
      response.status = 206;
      response.Set("Content-Range", "bytes " + std::to_string(begin) + "-" + std::to_string(last) +
                                        "/" + std::to_string(delta.size()));
    }
    response.Set("ETag", std::move(etag));
    response.Set("Accept-Ranges", "bytes");
    response.body = delta.substr(begin, last + 1 - begin);
    return response;
  }

 private:
  using Handler = http::Handler;
  void Route(http::Router& router, const char* method, const char* path, Handler handler) {
    router.Add({.method = method, .pattern = path, .handler = std::move(handler)});
  }

  void SetLive(const LiveModel& live) {
    live_[{live.tenant, live.model}] = live;
    nlohmann::json change = LiveModelToJson(live);
    change["seq"] = ++seq_;
    change["tenant"] = live.tenant;
    change["kind"] = "live";
    feed_.push_back(std::move(change));
  }

  http::Response Keys() {
    return http::Json(200, nlohmann::json{{"keys",
                                           {{{"id", key_.public_key().Id()},
                                             {"alg", "ed25519"},
                                             {"public", key_.public_key().ToBase64()}}}}}
                               .dump());
  }

  static http::Response Refusal(int status, int seconds) {
    http::Response response = http::Json(status, R"({"code":"busy","detail":"later"})");
    response.Set("Retry-After", std::to_string(seconds));
    return response;
  }
  static std::optional<http::Response> Pop(std::deque<http::Response>& refusals) {
    if (refusals.empty()) return std::nullopt;
    http::Response first = std::move(refusals.front());
    refusals.pop_front();
    return first;
  }

  http::Response Live(const http::Request& request, const std::string& tenant) {
    const std::lock_guard lock(mutex_);
    if (auto refusal = Pop(live_refusals_[tenant])) return *std::move(refusal);
    nlohmann::json models = nlohmann::json::array();
    for (const auto& [key, live] : live_) {
      if (key.first == tenant) models.push_back(LiveModelToJson(live));
    }
    const std::string body =
        nlohmann::json{{"seq", seq_}, {"tenant", tenant}, {"models", models}}.dump();
    const std::string etag = "\"" + Sha256::Of(AsBytes(body)).Hex() + "\"";
    const bool same = request.Header("if-none-match") == etag;
    ++(same ? live_unchanged_ : live_lists_);
    http::Response response = same ? http::Response{} : http::Json(200, body);
    if (same) response.status = 304;
    response.Set("ETag", etag);
    return response;
  }

  http::Response Watch(const http::Request& request) {
    {
      const std::lock_guard lock(mutex_);
      watches_.push_back(std::chrono::steady_clock::now());
      if (auto refusal = Pop(watch_refusals_)) return *std::move(refusal);
    }
    const uint64_t since = std::stoull(std::string(request.Query("since").value_or("0")));
    http::Response response;
    http::Pending pending;
    // No wake-ups: a short wait and then another look is enough here.
    pending.subscribe = [](const std::function<void()>&) { return std::make_shared<int>(0); };
    pending.timeout = std::chrono::milliseconds{20};
    pending.poll = [this, since](bool timed_out) -> std::optional<http::Response> {
      const std::lock_guard lock(mutex_);
      if (since < forgotten_) {
        return http::Json(410, R"({"code":"feed_gone","detail":"read live again"})");
      }
      nlohmann::json changes = nlohmann::json::array();
      for (const auto& change : feed_) {
        if (change["seq"] > since) changes.push_back(change);
      }
      if (changes.empty() && !timed_out) return std::nullopt;
      return http::Json(200, nlohmann::json{{"seq", seq_}, {"changes", changes}}.dump());
    };
    response.body = std::move(pending);
    return response;
  }

  http::Response Delta(const http::Request& request, const std::string& hex) {
    ++delta_requests_;
    if (!request.Header("range").empty()) ++ranged_requests_;
    std::optional<Fault> fault;
    std::string delta;
    {
      const std::lock_guard lock(mutex_);
      if (!deltas_.contains(hex)) return http::Json(404, R"({"code":"unknown_object"})");
      delta = deltas_[hex];
      if (!faults_.empty()) {
        fault = std::move(faults_.front());
        faults_.pop_front();
      }
    }
    return fault ? (*fault)(request, delta) : ServeRange(request, delta, "\"" + hex + "\"");
  }

  http::Response Bytes(const std::map<std::string, std::string>& from, const std::string& hex) {
    const std::lock_guard lock(mutex_);
    const auto found = from.find(hex);
    if (found == from.end()) return http::Json(404, R"({"code":"unknown_object"})");
    return http::Json(200, found->second);
  }

  http::Response Report(const http::Request& request) {
    const std::lock_guard lock(mutex_);
    reports_.push_back(std::chrono::steady_clock::now());
    if (auto refusal = Pop(report_refusals_)) return *std::move(refusal);
    report_ = nlohmann::json::parse(request.body);
    return http::Json(200, "{}");
  }

  const SigningKey key_ = SigningKey::FromSeed(std::string(32, 'k')).value();
  const Digest base_ = Sha256::Of(AsBytes("the base"));
  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, LiveModel> live_;
  std::map<std::string, std::string> deltas_, manifests_;
  std::vector<nlohmann::json> feed_;
  std::deque<Fault> faults_;
  std::deque<http::Response> watch_refusals_, report_refusals_;
  std::map<std::string, std::deque<http::Response>> live_refusals_;
  std::vector<Moment> watches_, reports_;
  uint64_t seq_ = 1;
  uint64_t forgotten_ = 0;
  nlohmann::json report_ = nlohmann::json::object();
  std::atomic<int> delta_requests_{0}, ranged_requests_{0}, live_lists_{0}, live_unchanged_{0};
  uint16_t port_ = 0;
  std::unique_ptr<http::Server> server_;  // last: its handlers use the rest
};

}  // namespace signum::client
