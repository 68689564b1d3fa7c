#pragma once

#include <atomic>
#include <filesystem>
#include <string>
#include <string_view>

#include "server/http/router.h"
#include "storage/accounts.h"
#include "storage/base/clock.h"
#include "storage/catalog.h"
#include "storage/engine.h"
#include "storage/key_ring.h"
#include "storage/object_store.h"
#include "storage/quota.h"
#include "storage/uploads.h"

namespace signum {

namespace http {
class Server;
}

class IdempotencyStore;  // storage/idempotency.h
class Metrics;           // server/metrics.h
class Worker;            // server/worker.h

// What handlers work with. Built by main() top to bottom and outliving the HTTP server.
struct App {
  const Clock& clock;
  Engine& engine;
  ObjectStore& objects;
  Catalog& catalog;
  Uploads& uploads;
  Accounts& accounts;
  IdempotencyStore& idempotency;
  KeyRing& keys;
  Quotas& quotas;
  Metrics& metrics;
  bool auth = true;                     // false: --no-auth, everyone is an admin
  std::filesystem::path backup_dir{};   // below which backups may lie; empty: nowhere
  bool node_certificates = false;       // nodes' tokens work with a client certificate alone
  double auth_failures = 0;             // bad tokens a second from one address; 0: no limit
  std::atomic<bool> read_only = false;  // changes are refused and no job begins
  std::atomic<bool> draining = false;   // set when the server begins to stop: /readyz answers 503
  std::atomic<const http::Server*> server = nullptr;  // once it runs: what /metrics asks
};

// Where an admin makes the registry read-only, and read-write again.
inline constexpr std::string_view kModePattern = "/v1/admin/mode";

// Each group of handlers lives in one file pair of its own name and adds its routes to the table;
// routes.cc calls them all.
void AddUploadRoutes(http::Router& router, App& app);   // uploads_api
void AddBaseRoutes(http::Router& router, App& app);     // bases_api
void AddVersionRoutes(http::Router& router, App& app);  // versions_api: create, list, get, delete
void AddArtifactRoutes(http::Router& router,
                       App& app);  // artifacts_api: delta, manifest, checkpoint, blobs
void AddAliasRoutes(http::Router& router, App& app);   // aliases_api
void AddJobRoutes(http::Router& router, App& app);     // jobs_api
void AddLiveRoutes(http::Router& router, App& app);    // live_api: live, tenants, models
void AddWatchRoutes(http::Router& router, App& app);   // watch_api: long poll and events
void AddNodeRoutes(http::Router& router, App& app);    // nodes_api
void AddAuditRoutes(http::Router& router, App& app);   // audit_api
void AddTokenRoutes(http::Router& router, App& app);   // tokens_api: admin tokens
void AddKeyRoutes(http::Router& router, App& app);     // keys_api: what manifests are signed with
void AddTenantRoutes(http::Router& router, App& app);  // tenants_api: admin tenants
void AddModeRoutes(http::Router& router, App& app);    // mode_api: read-only or not
void AddMaintenanceRoutes(http::Router& router,
                          App& app);  // maintenance_api: gc, scrub, backups
void AddOperationRoutes(http::Router& router,
                        App& app);  // operation_api: health, metrics, openapi, /

void AddAllRoutes(http::Router& router, App& app);  // routes

// What of an answer is kept for repetitions, where that is not all of it: secrets are not.
using KeptResponse = http::Response (*)(http::Response);

// Runs `handler` at most once for each Idempotency-Key of a caller; later requests get the first
// answer.
http::Handler Idempotent(App& app, http::Handler handler, KeptResponse kept = nullptr);

}  // namespace signum
