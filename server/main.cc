// signumd: the composition root. Builds the graph top to bottom, waits for a signal, takes it down.

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>

#include "gpu/cuda_module.h"
#include "server/access_log.h"
#include "server/config.h"
#include "server/descriptors.h"
#include "server/freed_memory.h"
#include "server/gate.h"
#include "server/http/server.h"
#include "server/maintenance.h"
#include "server/metrics.h"
#include "server/periodic.h"
#include "server/registry.h"
#include "server/worker.h"
#include "storage/restore.h"

namespace signum {
namespace {

// Blocks the signals that end the program, in every thread made from here on; main waits for them.
sigset_t BlockSignals() {
  std::signal(SIGPIPE, SIG_IGN);  // a client that has gone is an error of its write
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

uint64_t MaxConnections(const Config& config) {
  const uint64_t limit = RaiseDescriptorLimit();
  const uint64_t most = DescriptorsForConnections(limit);
  if (most >= config.max_connections) return config.max_connections;
  spdlog::warn("{} connections at once, not {}: {} descriptors (ulimit -n) are no more", most,
               config.max_connections, limit);
  return most;
}

http::ServerOptions ServerOptionsOf(const Config& config) {
  http::ServerOptions options;
  options.address = config.address;
  options.port = config.port;
  options.io_threads = config.io_threads;
  options.pool_threads = config.pool_threads;
  options.max_connections = MaxConnections(config);
  options.tls = config.tls;
  options.header_timeout = config.header_timeout;
  options.body_timeout = config.body_timeout;
  return options;
}

Result<std::unique_ptr<http::Server>> StartServer(const Config& config, App& app, AccessLog& log) {
  http::Server::Hooks hooks;
  hooks.gate = MakeGate(app);
  hooks.observe = [&app, &log](const http::AccessRecord& record) {
    app.metrics.Observe(record);
    log.Write(record);
  };
  http::Router router;
  if (config.api) {
    AddAllRoutes(router, app);
  } else {
    AddOperationRoutes(router, app);
  }
  return http::Server::Start(ServerOptionsOf(config), std::move(router), std::move(hooks));
}

// Where jobs distil, once: versions tell only what nobody expected.
Result<void> LogDevice(const std::string& device) {
  CpuReason why;
  SIGNUM_ASSIGN(const auto backend, OpenBackendOrCpu(device, {}, &why));
  if (why.text.empty()) {
    spdlog::info("deltas are distilled on {}", backend->name());
  } else {
    spdlog::log(why.unexpected ? spdlog::level::warn : spdlog::level::info, "distillation: {}",
                why.text);
  }
  return {};
}

Result<std::unique_ptr<Worker>> StartWorker(const Config& config, Registry& registry) {
  if (!config.worker) return std::unique_ptr<Worker>();
  SIGNUM_TRY(LogDevice(config.device));
  App& app = registry.app();
  return Worker::Start({app.clock, app.objects, app.catalog, app.uploads, app.keys, &app.read_only},
                       {registry.TmpDirectory(), registry.TrainingDirectory(), config.device,
                        *OptionsOfPrecision(config.precision), config.workers, config.job_threads});
}

Result<std::unique_ptr<Maintenance>> StartMaintenance(const Config& config, App& app) {
  if (!config.worker) return std::unique_ptr<Maintenance>();
  return Maintenance::Start(
      app, {config.data, config.gc_every, config.gc_grace, config.scrub_every, config.scrub_rate,
            config.device, config.job_threads, *OptionsOfPrecision(config.precision)});
}

// Frees what nobody came back for.
void Sweep(App& app) {
  if (app.read_only) return;
  if (const auto swept = app.uploads.Sweep(); swept.has_error()) {
    spdlog::error("expired uploads: {}", swept.error().message);
  } else if (*swept > 0) {
    spdlog::info("removed {} expired uploads", *swept);
  }
  if (const auto swept = app.idempotency.Sweep(); swept.has_error()) {
    spdlog::error("old answers: {}", swept.error().message);
  }
}

// Often enough that an upload outlives its expiry by a quarter of it, or a minute.
std::chrono::milliseconds SweepInterval(const Config& config) {
  using std::chrono::milliseconds;
  const milliseconds quarter(config.uploads.expire_after_micros / 4000);
  return std::clamp<milliseconds>(quarter, milliseconds(250), std::chrono::minutes(1));
}

Result<void> Announce(const Config& config, const http::Server& server) {
  const std::string host =
      config.address.find(':') == std::string::npos ? config.address : "[" + config.address + "]";
  spdlog::info("listening on {}://{}:{}, data in {}", config.tls.cert.empty() ? "http" : "https",
               host, server.port(), config.data.string());
  if (config.tls.cert.empty() && !IsLoopback(config.address)) {
    spdlog::warn("tokens cross the network in the clear: use --tls-cert, or a proxy that ends TLS");
  }
  if (config.port_file.empty()) return {};
  return WriteFileAtomically(config.port_file, AsBytes(std::to_string(server.port()) + "\n"));
}

// SIGHUP reads the certificates anew; gives the signal that ends the program.
int AwaitStop(const sigset_t& signals, http::Server& server) {
  for (;;) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal != SIGHUP) return signal;
    const auto loaded = server.ReloadTls();
    if (loaded.has_error()) {
      spdlog::error("SIGHUP: the certificates stay as they were: {}", loaded.error().message);
    } else {
      spdlog::info("SIGHUP: read the certificates anew");
    }
  }
}

Result<void> Run(const Config& config) {
  LimitArenas();
  const sigset_t signals = BlockSignals();
  StartServerLog(config.log);
  const SystemClock clock;
  SIGNUM_ASSIGN(const auto registry,
                Registry::Open(config.data, config.uploads, clock, config.auth, config.quota));
  App& app = registry->app();
  app.read_only = config.read_only;
  app.auth_failures = config.auth_failures;
  app.node_certificates = !config.tls.client_ca.empty();
  SIGNUM_ASSIGN(const auto token_file, registry->EnsureAdminToken());
  if (token_file) spdlog::info("wrote an admin token to {}", token_file->string());
  app.backup_dir = config.backup_dir;
  SIGNUM_ASSIGN(const auto worker, StartWorker(config, *registry));
  SIGNUM_ASSIGN(const auto maintenance, StartMaintenance(config, app));
  AccessLog access_log(config.log, clock);
  SIGNUM_ASSIGN(const auto server, StartServer(config, app, access_log));
  app.server = server.get();
  const Periodic sweeper(SweepInterval(config), [&app] { Sweep(app); });
  const Periodic trimmer(std::chrono::minutes(1), ReturnFreedMemory);
  SIGNUM_TRY(Announce(config, *server));

  const int signal = AwaitStop(signals, *server);
  spdlog::info("stopping on {}", signal == SIGTERM ? "SIGTERM" : "SIGINT");
  app.draining = true;
  server->Stop(config.drain);
  app.server = nullptr;
  if (worker) worker->Stop();
  if (maintenance) maintenance->Stop();
  spdlog::info("stopped");
  return {};
}

// --restore: a data directory from a backup, proved before it is one.
Result<void> Restore(const Config& config) {
  StartServerLog(LogFormat::kText);
  std::string phase;
  SIGNUM_ASSIGN(const RestoreReport report,
                RestoreBackup(*config.restore, config.restore_at, config.data,
                              [&](std::string_view now, double) {
                                if (phase != now) spdlog::info("{}", phase = now);
                                return true;
                              }));
  std::printf("restored backup %llu of %s: %llu objects and %llu manifests are good\n",
              static_cast<unsigned long long>(report.backup.id), report.backup.created.c_str(),
              static_cast<unsigned long long>(report.checked.objects),
              static_cast<unsigned long long>(report.checked.manifests));
  if (report.uploads > 0) {
    std::printf("%llu unfinished uploads are not in a backup: they have to begin again\n",
                static_cast<unsigned long long>(report.uploads));
  }
  return {};
}

int Main(int argc, char** argv) {
  auto parsed = ParseConfig(argc, argv);
  if (const auto* usage = std::get_if<UsageExit>(&parsed)) {
    std::fputs(usage->text.c_str(), usage->code == 0 ? stdout : stderr);
    return usage->code;
  }
  const Config& config = std::get<Config>(parsed);
  const auto ran = config.restore ? Restore(config) : Run(config);
  if (!ran.has_error()) return 0;
  std::fprintf(stderr, "signumd: cannot %s: %s\n", config.restore ? "restore" : "start",
               ran.error().message.c_str());
  if (config.restore) return ran.error().code == Errc::kCorrupt ? 5 : 1;
  return 1;
}

}  // namespace
}  // namespace signum

int main(int argc, char** argv) {
  try {
    return signum::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "signumd: cannot start: %s\n", error.what());
    return 1;
  }
}
