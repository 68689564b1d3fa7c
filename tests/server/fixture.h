#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "server/app.h"
#include "server/http/server.h"
#include "server/maintenance.h"
#include "server/worker.h"
#include "storage/base/clock.h"
#include "storage/catalog.h"
#include "storage/uploads.h"
#include "tests/server/http_client.h"
#include "tests/support/temp_dir.h"

namespace signum::test {

struct ServiceOptions {
  std::filesystem::path directory{};  // empty: a temporary one
  const Clock* clock = nullptr;       // null: the system's
  bool auth = true;
  bool worker = true;                // starts with the registry
  MaintenanceOptions maintenance{};  // starts with the worker
  UploadLimits uploads{};
  Quota quota{};             // of tenants that have none of their own
  double auth_failures = 0;  // as App
  http::ServerOptions server{};
};

// The whole service in this process: RocksDB engine, every route, transport on a free port of
// loopback and a worker. Throws std::runtime_error where a part does not start.
class Service {
 public:
  explicit Service(ServiceOptions options = {});
  ~Service();

  // Closes everything and opens it again on the same folder, as a restart of signumd does.
  void Restart();
  void StartWorker();
  void StopWorker();

  App& app();
  uint16_t port() const;
  const std::filesystem::path& directory() const { return directory_; }

  // A new token of that role, or a client that has one.
  std::string NewToken(Role role, std::vector<std::string> tenants);
  Client As(Role role, std::vector<std::string> tenants = {});
  const Client& admin() const { return *admin_; }

 private:
  struct Parts;
  void Open();

  ServiceOptions options_;
  std::unique_ptr<TempDir> temporary_;
  std::filesystem::path directory_;
  SystemClock system_clock_;
  std::unique_ptr<Parts> parts_;
  std::unique_ptr<Client> admin_;
  std::string admin_secret_;
};

}  // namespace signum::test
