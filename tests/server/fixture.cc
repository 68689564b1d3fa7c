#include "tests/server/fixture.h"

#include <stdexcept>

#include "server/gate.h"
#include "server/metrics.h"
#include "server/registry.h"

namespace signum::test {
namespace {

template <class T>
T Must(Result<T> result, const char* what) {
  if (result.has_error())
    throw std::runtime_error(std::string(what) + ": " + result.error().message);
  return *std::move(result);
}

}  // namespace

struct Service::Parts {
  std::unique_ptr<Registry> registry;
  std::unique_ptr<http::Server> server;
  std::unique_ptr<Worker> worker;
  std::unique_ptr<Maintenance> maintenance;
};

Service::Service(ServiceOptions options) : options_(std::move(options)) {
  directory_ = options_.directory;
  if (directory_.empty()) {
    temporary_ = std::make_unique<TempDir>();
    directory_ = temporary_->path();
  }
  Open();
}

Service::~Service() = default;

void Service::Open() {
  const Clock& clock = options_.clock != nullptr ? *options_.clock : system_clock_;
  parts_ = std::make_unique<Parts>();
  parts_->registry =
      Must(Registry::Open(directory_, options_.uploads, clock, options_.auth, options_.quota),
           "registry");
  app().auth_failures = options_.auth_failures;
  http::Router router;
  AddAllRoutes(router, app());
  http::Server::Hooks hooks;
  hooks.gate = MakeGate(app());
  hooks.observe = [&metrics = app().metrics](const http::AccessRecord& record) {
    metrics.Observe(record);
  };
  parts_->server =
      Must(http::Server::Start(options_.server, std::move(router), std::move(hooks)), "server");
  app().server = parts_->server.get();
  if (admin_secret_.empty()) admin_secret_ = NewToken(Role::kAdmin, {});
  admin_ = std::make_unique<Client>(port(), admin_secret_);
  if (options_.worker) StartWorker();
}

void Service::Restart() {
  parts_.reset();
  Open();
}

void Service::StartWorker() {
  WorkerOptions options;
  options.tmp_directory = parts_->registry->TmpDirectory();
  options.state_directory = parts_->registry->TrainingDirectory();
  options.device = "cpu";
  const WorkerContext context{app().clock,   app().objects, app().catalog,
                              app().uploads, app().keys,    &app().read_only};
  parts_->worker = Must(Worker::Start(context, options), "worker");
  options_.maintenance.data = directory_;
  parts_->maintenance = Must(Maintenance::Start(app(), options_.maintenance), "maintenance");
}

void Service::StopWorker() {
  parts_->maintenance.reset();
  parts_->worker.reset();
}

App& Service::app() { return parts_->registry->app(); }

uint16_t Service::port() const { return parts_->server->port(); }

std::string Service::NewToken(Role role, std::vector<std::string> tenants) {
  return Must(app().accounts.CreateToken(role, std::move(tenants), "test", {}), "token").secret;
}

Client Service::As(Role role, std::vector<std::string> tenants) {
  return {port(), NewToken(role, std::move(tenants))};
}

}  // namespace signum::test
