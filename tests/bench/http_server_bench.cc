// The transport alone, to be loaded by wrk, curl or tests/bench/http_watchers.py and compared with
// nginx.
//   http_server_bench PORT FILE [CERT KEY]
//   /file    FILE, mapped          /read   the same bytes through Read(), as from a store
//   /json    a small JSON answer on the I/O thread; /pool the same by way of the pool
//   /watch   a long poll that ends after ten minutes; POST /wake ends them all
// Prints a line when it listens and serves until it is killed.

#include <CLI/CLI.hpp>
#include <atomic>
#include <csignal>
#include <iostream>
#include <map>
#include <mutex>

#include "server/http/serve_source.h"
#include "server/http/server.h"
#include "storage/base/file.h"

namespace {

using signum::ByteSource;
using signum::ConstBytes;
using signum::MutableBytes;
using namespace signum::http;  // NOLINT(google-build-using-namespace)

// Without a view, so that the server copies pieces as it does from the object store.
class Unviewed final : public ByteSource {
 public:
  explicit Unviewed(std::shared_ptr<const ByteSource> source) : source_(std::move(source)) {}
  uint64_t size() const override { return source_->size(); }
  signum::Result<void> Read(uint64_t offset, MutableBytes out) const override {
    return source_->Read(offset, out);
  }

 private:
  std::shared_ptr<const ByteSource> source_;
};

// Those who watch, and whether they have been woken.
class Watchers {
 public:
  Response Wait() {
    Pending pending;
    pending.timeout = std::chrono::minutes(10);
    pending.subscribe = [this](std::function<void()> wake) { return Add(std::move(wake)); };
    pending.poll = [this](bool timed_out) -> std::optional<Response> {
      if (!woken_ && !timed_out) return std::nullopt;
      return Json(200, R"({"seq":1,"changes":[]})");
    };
    Response response;
    response.body = std::move(pending);
    return response;
  }
  Response Wake() {
    const std::lock_guard lock(mutex_);
    woken_ = true;
    for (const auto& [key, wake] : wakes_) wake();
    return Json(200, "{\"woken\":" + std::to_string(wakes_.size()) + "}");
  }

 private:
  std::shared_ptr<void> Add(std::function<void()> wake) {
    const std::lock_guard lock(mutex_);
    const uint64_t key = next_++;
    wakes_.emplace(key, std::move(wake));
    return {this, [key](Watchers* self) {
              const std::lock_guard inner(self->mutex_);
              self->wakes_.erase(key);
            }};
  }

  std::mutex mutex_;
  std::map<uint64_t, std::function<void()>> wakes_;
  uint64_t next_ = 0;
  std::atomic<bool> woken_{false};
};

Router Routes(const std::shared_ptr<const ByteSource>& file, Watchers* watchers) {
  const auto unviewed = std::make_shared<Unviewed>(file);
  const Handler json = [](const Request&, const Params&) {
    return Json(200, R"({"version":3,"state":"ready","ratio":15.4})");
  };
  const Handler mapped = [file](const Request& request, const Params&) {
    return ServeSource(request, {file, "\"1\"", ""});
  };
  const Handler read = [unviewed](const Request& request, const Params&) {
    return ServeSource(request, {unviewed, "\"1\"", ""});
  };
  const Handler watch = [watchers](const Request&, const Params&) { return watchers->Wait(); };
  const Handler wake = [watchers](const Request&, const Params&) { return watchers->Wake(); };
  Router router;
  router.Add({"GET", "/json", json, 0, true});
  router.Add({"GET", "/pool", json});
  router.Add({"GET", "/file", mapped});
  router.Add({"GET", "/read", read});
  router.Add({"GET", "/watch", watch});
  router.Add({"POST", "/wake", wake});
  return router;
}

}  // namespace

int main(int argc, char** argv) {
  ServerOptions options;
  std::string path;
  CLI::App app("HTTP transport benchmark server");
  app.add_option("port", options.port)->required();
  app.add_option("file", path)->required();
  app.add_option("cert", options.tls.cert);
  app.add_option("key", options.tls.key);
  CLI11_PARSE(app, argc, argv);
  auto file = signum::MappedFile::Open(path);
  if (!file) {
    std::cerr << file.error().message << '\n';
    return 1;
  }
  sigset_t ends;  // blocked before any thread starts, so that all of them leave it to sigwait
  sigemptyset(&ends);
  sigaddset(&ends, SIGTERM);
  sigaddset(&ends, SIGINT);
  sigprocmask(SIG_BLOCK, &ends, nullptr);
  Watchers watchers;
  auto server = Server::Start(options, Routes(*file, &watchers), {});
  if (!server) {
    std::cerr << server.error().message << '\n';
    return 1;
  }
  std::cout << "listening on " << (*server)->port() << std::endl;
  int caught = 0;
  sigwait(&ends, &caught);
  (*server)->Stop(std::chrono::milliseconds(0));
  return 0;
}
