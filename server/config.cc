#include "server/config.h"

#include <arpa/inet.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "gpu/cuda_module.h"
#include "server/settings/settings.h"

namespace signum {
namespace {

// Flags as they were given, before they are made sense of.
struct RawFlags {
  std::string data, listen = "127.0.0.1:8080", port_file, log = "json", upload_expiry = "24h";
  std::string header_timeout = "15s", body_timeout = "30s";
  std::string roles = "api,worker";
  std::string gc_every = "10m", gc_grace = "1h", scrub_every = "7d", backup_dir, restore;
  std::string restore_at;
  uint64_t quota_bytes = 0, quota_versions = 0, quota_jobs = 0, quota_burst = 0;
  double quota_requests = 0;
  bool no_auth = false;
  int64_t drain_seconds = 30;
};

void AddServerOptions(CLI::App& app, RawFlags& raw, Config& config) {
  AddSetting(app, "--data", raw.data, "Directory that holds everything; made on the first start")
      ->required();
  AddSetting(app, "--listen", raw.listen, "ADDRESS:PORT; port 0 takes a free one")
      ->capture_default_str();
  AddSetting(app, "--port-file", raw.port_file,
             "File that gets the bound port once the server answers");
  AddSetting(app, "--role", raw.roles, "What to do here: api, worker or both")
      ->capture_default_str();
  AddSetting(app, "--tls-cert", config.tls.cert, "PEM certificate chain; needs --tls-key");
  AddSetting(app, "--tls-key", config.tls.key, "PEM private key; needs --tls-cert");
  AddSetting(app, "--tls-client-ca", config.tls.client_ca,
             "PEM certificates that sign clients'; nodes' tokens then work with such a one alone");
  app.add_flag("--no-auth", raw.no_auth,
               SettingHelp("--no-auth", "Everyone is an admin; only on a loopback address"));
  AddSetting(app, "--log", raw.log, "Form of the logs: json, text or off (no access log)")
      ->capture_default_str();
  AddSetting(app, "--drain-seconds", raw.drain_seconds,
             "What running requests get when the server stops")
      ->check(CLI::Range(0, 3600))
      ->capture_default_str();
}

void AddWorkOptions(CLI::App& app, RawFlags& raw, Config& config) {
  AddSetting(app, "--device", config.device, "What compresses: auto, cpu or cuda:N")
      ->capture_default_str();
  AddSetting(
      app, "--precision", config.precision,
      "Products while deltas are distilled: fp32, or fast (bfloat16 on CPUs that have it, TF32 "
      "on CUDA)")
      ->check(CLI::IsMember({"fp32", "fast"}))
      ->capture_default_str();
  AddSetting(app, "--workers", config.workers, "Jobs that run at once")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  AddSetting(app, "--job-threads", config.job_threads, "Threads of one job; 0: one a core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  AddSetting(app, "--io-threads", config.io_threads, "Threads of connections; 0: one a core")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  AddSetting(app, "--pool-threads", config.pool_threads,
             "Threads of handlers; 0: four a core, at least 8")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  AddSetting(app, "--max-connections", config.max_connections,
             "Connections at once, as far as descriptors (ulimit -n) go; what is more gets 503")
      ->check(CLI::Range(uint64_t{1}, uint64_t{10'000'000}))
      ->capture_default_str();
  AddSetting(app, "--upload-expiry", raw.upload_expiry,
             "How long an unfinished upload is kept: 90s, 30m, 24h, 7d")
      ->capture_default_str();
  AddSetting(app, "--header-timeout", raw.header_timeout, "How long a request's header may take")
      ->capture_default_str();
  AddSetting(app, "--body-timeout", raw.body_timeout,
             "How long a body may stand still before its connection is closed")
      ->capture_default_str();
  AddSetting(app, "--max-upload", config.uploads.max_bytes, "Bytes of one upload: 500GB, 8TiB")
      ->transform(CLI::AsSizeValue(true))
      ->capture_default_str();
  AddSetting(app, "--max-upload-files", config.uploads.max_files, "Files of one upload")
      ->capture_default_str();
  AddSetting(
      app, "--keep-free", config.uploads.keep_free_bytes,
      "Refuse uploads that would leave less free on the disk, and begin no job while less is")
      ->transform(CLI::AsSizeValue(true))
      ->capture_default_str();
}

void AddQuotaOptions(CLI::App& app, RawFlags& raw, Config& config) {
  constexpr double kMostRequests = 1e6;
  AddSetting(app, "--quota-bytes", raw.quota_bytes,
             "Bytes that a tenant may hold, where it has no quota of its own; 0: no limit")
      ->transform(CLI::AsSizeValue(true))
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  AddSetting(app, "--quota-versions", raw.quota_versions,
             "The same for its versions, all models together; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  AddSetting(app, "--quota-jobs", raw.quota_jobs,
             "The same for its jobs, queued and running; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  AddSetting(app, "--quota-requests", raw.quota_requests,
             "The same for the requests a second of its tokens; 0: no limit")
      ->check(CLI::Range(0.0, kMostRequests))
      ->capture_default_str();
  AddSetting(app, "--quota-burst", raw.quota_burst,
             "Requests that may come at once; 0: what a second brings")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  AddSetting(app, "--auth-failures", config.auth_failures,
             "Bad tokens a second that one address may send before it is refused; 0: no limit")
      ->check(CLI::Range(0.0, kMostRequests))
      ->capture_default_str();
  app.add_flag("--read-only", config.read_only,
               SettingHelp("--read-only", "Refuse every change and begin no job; reads go on"));
}

void AddUpkeepOptions(CLI::App& app, RawFlags& raw, Config& config) {
  AddSetting(app, "--gc-every", raw.gc_every,
             "How often garbage is collected; off: by request only")
      ->capture_default_str();
  AddSetting(app, "--gc-grace", raw.gc_grace, "How long what nothing names is kept")
      ->capture_default_str();
  AddSetting(app, "--scrub-every", raw.scrub_every,
             "How often all that is stored is read and checked; off: by request only")
      ->capture_default_str();
  AddSetting(app, "--scrub-rate", config.scrub_rate,
             "Bytes a second that a scrub by itself reads; 0: no limit")
      ->transform(CLI::AsSizeValue(true))
      ->capture_default_str();
  AddSetting(app, "--backup-dir", raw.backup_dir,
             "Directory below which backups may be written; without it there are none by request");
  AddSetting(app, "--restore", raw.restore,
             "Put the newest backup of this directory into --data, which is empty or new, and end");
  AddSetting(app, "--at", raw.restore_at, "With --restore: the backup of this number");
}

// "90s", "30m", "24h", "7d".
Result<std::chrono::seconds> ParseDuration(std::string_view flag, std::string_view text) {
  int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, text.data() + text.size() - end);
  const int64_t seconds = unit == "s"   ? 1
                          : unit == "m" ? 60
                          : unit == "h" ? 3600
                          : unit == "d" ? 86400
                                        : 0;
  constexpr int64_t kTooMuch = 1'000'000;
  if (error != std::errc() || seconds == 0 || number <= 0 || number > kTooMuch) {
    return Fail(Errc::kInvalid, "bad_duration",
                std::string(flag) + " must be a number and s, m, h or d: 24h");
  }
  return std::chrono::seconds(number * seconds);
}

// 0 for "off".
Result<std::chrono::seconds> ParsePeriod(std::string_view flag, std::string_view text) {
  if (text == "off") return std::chrono::seconds(0);
  return ParseDuration(flag, text);
}

// 0 stands for no limit.
template <class T>
std::optional<T> LimitOf(T flag) {
  return flag == 0 ? std::nullopt : std::optional(flag);
}

void ApplyQuota(const RawFlags& raw, Config& config) {
  config.quota = {LimitOf(raw.quota_bytes), LimitOf(raw.quota_versions), LimitOf(raw.quota_jobs),
                  LimitOf(raw.quota_requests), LimitOf(raw.quota_burst)};
}

Result<void> ApplyUpkeep(const RawFlags& raw, Config& config) {
  SIGNUM_ASSIGN(config.gc_every, ParsePeriod("--gc-every", raw.gc_every));
  SIGNUM_ASSIGN(config.gc_grace, ParseDuration("--gc-grace", raw.gc_grace));
  SIGNUM_ASSIGN(config.scrub_every, ParsePeriod("--scrub-every", raw.scrub_every));
  config.backup_dir = raw.backup_dir;
  if (!raw.restore.empty()) config.restore = raw.restore;
  if (raw.restore_at.empty()) return {};
  uint64_t id = 0;
  const char* const end = raw.restore_at.data() + raw.restore_at.size();
  const auto [parsed, error] = std::from_chars(raw.restore_at.data(), end, id);
  if (error != std::errc() || parsed != end || !config.restore) {
    return Fail(Errc::kInvalid, "bad_at", "--at must be the number of a backup, with --restore");
  }
  config.restore_at = id;
  return {};
}

Result<void> ApplyRoles(const std::string& roles, Config& config) {
  const std::vector<std::string> given = CLI::detail::split(roles, ',');
  const auto has = [&](const char* role) {
    return std::find(given.begin(), given.end(), role) != given.end();
  };
  config.api = has("api");
  config.worker = has("worker");
  if (given.size() != size_t{config.api} + size_t{config.worker}) {
    return Fail(Errc::kInvalid, "bad_role", "--role must be api, worker or api,worker");
  }
  return {};
}

Result<void> CheckDevice(std::string_view device) {
  if (IsDeviceName(device)) return {};
  return Fail(Errc::kInvalid, "bad_device",
              "--device must be auto, cpu or cuda:N, not '" + std::string(device) + "'");
}

Result<void> CheckTogether(const Config& config) {
  if (config.tls.cert.empty() != config.tls.key.empty()) {
    return Fail(Errc::kInvalid, "bad_tls", "--tls-cert and --tls-key go together");
  }
  if (config.tls.cert.empty() && !config.tls.client_ca.empty()) {
    return Fail(Errc::kInvalid, "bad_tls", "--tls-client-ca needs --tls-cert");
  }
  if (!config.auth && !IsLoopback(config.address)) {
    return Fail(Errc::kInvalid, "no_auth_needs_loopback",
                "--no-auth works on a loopback address alone, not on " + config.address);
  }
  return {};
}

Result<Config> MakeConfig(Config config, const RawFlags& raw) {
  config.data = raw.data;
  config.port_file = raw.port_file;
  config.auth = !raw.no_auth;
  config.drain = std::chrono::seconds(raw.drain_seconds);
  SIGNUM_ASSIGN(const ListenAddress listen, ParseListen(raw.listen));
  config.address = listen.address;
  config.port = listen.port;
  SIGNUM_ASSIGN(config.log, LogFormatFromName(raw.log));
  SIGNUM_ASSIGN(const auto expiry, ParseDuration("--upload-expiry", raw.upload_expiry));
  config.uploads.expire_after_micros = std::chrono::microseconds(expiry).count();
  SIGNUM_ASSIGN(config.header_timeout, ParseDuration("--header-timeout", raw.header_timeout));
  SIGNUM_ASSIGN(config.body_timeout, ParseDuration("--body-timeout", raw.body_timeout));
  ApplyQuota(raw, config);
  SIGNUM_TRY(ApplyUpkeep(raw, config));
  SIGNUM_TRY(ApplyRoles(raw.roles, config));
  SIGNUM_TRY(CheckDevice(config.device));
  SIGNUM_TRY(CheckTogether(config));
  return config;
}

bool IsNumeric(const std::string& address) {
  in6_addr ignored{};
  return inet_pton(AF_INET, address.c_str(), &ignored) == 1 ||
         inet_pton(AF_INET6, address.c_str(), &ignored) == 1;
}

}  // namespace

Result<ListenAddress> ParseListen(std::string_view text) {
  const Error bad = Fail(Errc::kInvalid, "bad_listen",
                         "--listen must be ADDRESS:PORT, as 127.0.0.1:8080 or [::1]:0, not '" +
                             std::string(text) + "'");
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad;
  ListenAddress listen;
  const std::string_view port = text.substr(colon + 1);
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), listen.port);
  if (error != std::errc() || end != port.data() + port.size()) return bad;
  std::string_view address = text.substr(0, colon);
  if (address.starts_with('[') && address.ends_with(']')) {
    address = address.substr(1, address.size() - 2);
  } else if (address.find(':') != std::string_view::npos) {
    return bad;
  }
  if (address.empty()) address = "0.0.0.0";
  if (address == "localhost") address = "127.0.0.1";
  listen.address = address;
  if (!IsNumeric(listen.address)) return bad;
  return listen;
}

bool IsLoopback(std::string_view address) {
  return address.starts_with("127.") || address == "::1";
}

std::variant<Config, UsageExit> ParseConfig(int argc, const char* const* argv) {
  CLI::App app("signumd: the Signum registry", "signumd");
  RawFlags raw;
  Config config;
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  AddServerOptions(app, raw, config);
  AddWorkOptions(app, raw, config);
  AddQuotaOptions(app, raw, config);
  AddUpkeepOptions(app, raw, config);
  if (auto ends = ParseSettings(app, argc, argv)) return *std::move(ends);
  auto made = MakeConfig(std::move(config), raw);
  if (made.has_error()) return UsageExit{2, "signumd: " + made.error().message + "\n"};
  if (auto printed = PrintedSettings(app)) return *std::move(printed);
  return *std::move(made);
}

}  // namespace signum
