#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>

#include "server/access_log.h"
#include "server/http/tls.h"
#include "server/settings/usage_exit.h"
#include "storage/base/result.h"
#include "storage/quota.h"
#include "storage/uploads.h"

namespace signum {

// What signumd was told by flags, environment (SIGNUM_<FLAG>) and --config file; flags win over the
// environment, the environment over the file.
struct Config {
  std::filesystem::path data;
  std::string address = "127.0.0.1";  // numeric
  uint16_t port = 8080;               // 0: any free one
  std::filesystem::path port_file;    // empty: none
  bool api = true;
  bool worker = true;
  std::string device = "auto";
  std::string precision = "fp32";
  http::TlsFiles tls;
  bool auth = true;
  LogFormat log = LogFormat::kJson;
  int io_threads = 0;                 // 0: one a core
  uint64_t max_connections = 20'000;  // fewer where there are not descriptors enough
  int pool_threads = 0;               // 0: as http::ServerOptions
  int workers = 1;                    // jobs that run at once
  int job_threads = 0;                // 0: one a core
  UploadLimits uploads;
  Quota quota;               // of tenants that have none of their own
  double auth_failures = 0;  // as App
  bool read_only = false;
  std::chrono::seconds gc_every{600}, gc_grace{3600};  // as MaintenanceOptions
  std::chrono::seconds scrub_every{7 * 24 * 3600};
  uint64_t scrub_rate = 20'000'000;
  std::filesystem::path backup_dir;              // empty: no backups by request
  std::optional<std::filesystem::path> restore;  // put this backup into `data`, and end
  std::optional<uint64_t> restore_at;            // which; nullopt: the newest
  std::chrono::seconds drain{30};                // what running requests get when the server stops
  std::chrono::seconds header_timeout{15}, body_timeout{30};  // as http::ServerOptions
};

std::variant<Config, UsageExit> ParseConfig(int argc, const char* const* argv);

// "127.0.0.1:8080", "[::1]:0", ":8080" (every address), "localhost:8080". kInvalid "bad_listen".
struct ListenAddress {
  std::string address;
  uint16_t port = 0;
};
Result<ListenAddress> ParseListen(std::string_view text);
bool IsLoopback(std::string_view address);

}  // namespace signum
