// signum-node: the composition root. Starts the node and its listener, waits for a signal, takes
// both down.

#include <spdlog/spdlog.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "client/exit_code.h"
#include "client/model_ref.h"
#include "client/node/node.h"
#include "client/node/node_defaults.h"
#include "client/node/node_service.h"
#include "client/node/serve/openai_routes.h"
#include "client/node/serve/serving.h"
#include "client/tls_options.h"
#include "server/http/server.h"
#include "server/settings/settings.h"
#include "storage/base/file.h"
#include "storage/base/name.h"

namespace signum::client {
namespace {

struct Flags {
  NodeOptions node;
  ServingOptions serving;
  OpenAiOptions api;
  bool serve = true;
  std::string listen = "127.0.0.1:8081";
  std::string port_file;
  double fetch_window = 0;  // seconds
  double guest_idle = 3600;
  double refused_retry = 900;
};

// Where users keep caches (XDG). Each node has its own there.
Result<std::string> DefaultCache(const std::string& node) {
  const char* caches = std::getenv("XDG_CACHE_HOME");
  if (caches != nullptr && *caches == '/') return std::string(caches) + "/signum-node/" + node;
  const char* home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return std::string(home) + "/.cache/signum-node/" + node;
  return Fail(Errc::kInvalid, "no_cache", "where is the cache? Give --cache DIR or set HOME");
}

void DeclareServing(CLI::App& app, Flags& flags) {
  ServingOptions& serving = flags.serving;
  app.add_flag(
         "--serve,!--no-serve", flags.serve,
         SettingHelp("--serve", "Answer requests with the models, or only keep them resident"))
      ->default_str("true");
  AddSetting(app, "--base", serving.bases,
             "Folder with a base checkpoint, so that it is not fetched; repeat for more");
  AddSetting(app, "--device", serving.device.name,
             "What computes, and holds bases and deltas: cpu, cuda:N, or auto")
      ->capture_default_str();
  AddSetting(app, "--device-memory", serving.device.memory_bytes,
             "Device memory for deltas, bytes (0: half of the device's)")
      ->transform(CLI::AsSizeValue(true))
      ->capture_default_str();
  AddSetting(app, "--threads", serving.device.threads,
             "Threads of a step on the CPU (0: one a core)")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  AddSetting(app, "--kv-cache", serving.kv_bytes, "Memory for keys and values, for each base")
      ->transform(CLI::AsSizeValue(true))
      ->capture_default_str();
  AddSetting(app, "--max-batch", serving.scheduler.max_sequences, "Requests computed at a time")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  AddSetting(app, "--max-queue", serving.scheduler.max_queued,
             "Requests that may wait for a place; others are answered 429")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  AddSetting(app, "--step-tokens", serving.step_rows, "Tokens computed in a step, at most")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  AddSetting(app, "--api-key", flags.api.api_key, "Key that requests below /v1/ must carry");
}

void Declare(CLI::App& app, Flags& flags) {
  NodeOptions& node = flags.node;
  AddSetting(app, "--registry", node.registry_url, "URL of the registry")->required();
  AddSetting(app, "--token", node.token, "Token of role node");
  AddTlsOptions(app, node.tls);
  AddSetting(app, "--tenant", node.tenants, "A tenant to serve; repeat for more")->required();
  AddSetting(app, "--guests", node.max_guests,
             "Tenants beside those that are followed when somebody asks for a model of theirs "
             "and the token allows; 0: none")
      ->check(CLI::Range(0, 1 << 16))
      ->capture_default_str();
  AddSetting(app, "--guest-idle", flags.guest_idle,
             "Seconds after which a tenant leaves that nobody has asked for")
      ->check(CLI::Range(1.0, 1e9))
      ->capture_default_str();
  AddSetting(app, "--cache", node.cache_directory,
             "Directory of the local cache (default: the user's cache, signum-node/NAME)");
  AddSetting(app, "--cache-bytes", node.cache_bytes,
             "Bound of the cache; least recently used deltas go first (0: none)")
      ->transform(CLI::AsSizeValue(true))
      ->capture_default_str();
  AddSetting(app, "--memory", node.memory_bytes,
             "Memory for deltas, bytes (0: half of the machine's)")
      ->transform(CLI::AsSizeValue(true))
      ->capture_default_str();
  AddSetting(app, "--connections", node.fetch.connections,
             "Connections that fetch one large delta (64 MiB or more) at once")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  AddSetting(app, "--slots", node.slots,
             "Models in memory at a time, one slot each; others are loaded from the cache when "
             "asked for (0: as many as --memory holds)")
      ->check(CLI::Range(0, 1 << 16))
      ->capture_default_str();
  AddSetting(app, "--pin", node.pinned, "TENANT/MODEL that is never evicted; repeat for more");
  AddSetting(app, "--node", node.name, "Name to report as (default: the host's)");
  AddSetting(app, "--trust-key", node.trust_key,
             "Public key (base64) manifests must be signed with (default: pinned on first use)");
  DeclareServing(app, flags);
  AddSetting(app, "--fetch-window", flags.fetch_window,
             "Seconds over which fetches after a change are spread (0: at once)")
      ->check(CLI::Range(0.0, 86'400.0))
      ->capture_default_str();
  AddSetting(app, "--refused-retry", flags.refused_retry,
             "Seconds until a delta that was given up, for its bytes were wrong several times, is "
             "tried again")
      ->check(CLI::Range(1.0, 1e9))
      ->capture_default_str();
  AddSetting(app, "--listen", flags.listen, "ADDRESS:PORT; port 0 takes a free one")
      ->capture_default_str();
  AddSetting(app, "--port-file", flags.port_file, "File to write the bound port to");
}

Result<http::ServerOptions> ParseListen(const std::string& listen) {
  const size_t colon = listen.rfind(':');
  http::ServerOptions options;
  options.io_threads = 1;
  options.pool_threads = 4;
  options.encoded_slashes = true;  // OpenAI's clients ask for /v1/models/acme%2Fscripture
  char* end = nullptr;
  const std::string port = colon == listen.npos ? "" : listen.substr(colon + 1);
  const unsigned long number = std::strtoul(port.c_str(), &end, 10);
  if (port.empty() || *end != '\0' || number > 65535) {
    return Fail(Errc::kInvalid, "bad_address", "--listen " + listen + " is not ADDRESS:PORT");
  }
  options.address = listen.substr(0, colon);
  if (options.address.starts_with('[') && options.address.ends_with(']')) {
    options.address = options.address.substr(1, options.address.size() - 2);
  }
  if (options.address == "localhost") options.address = "127.0.0.1";
  options.port = static_cast<uint16_t>(number);
  return options;
}

Result<void> Check(Flags& flags) {
  if (flags.node.name.empty()) flags.node.name = HostName();
  SIGNUM_TRY(CheckName("node", flags.node.name));
  for (const std::string& tenant : flags.node.tenants) SIGNUM_TRY(CheckName("tenant", tenant));
  for (const std::string& pin : flags.node.pinned) {
    SIGNUM_ASSIGN(const ModelRef ref, ModelRef::ParseModel(pin));
    if (!ref.version.empty()) {
      return Fail(Errc::kInvalid, "bad_name",
                  "--pin " + pin + " names a version; models are pinned");
    }
  }
  SIGNUM_TRY(UrlOrigin(flags.node.registry_url));
  if (flags.node.cache_directory.empty()) {
    SIGNUM_ASSIGN(flags.node.cache_directory, DefaultCache(flags.node.name));
  }
  flags.node.guest_idle = Millis{static_cast<int64_t>(flags.guest_idle * 1000)};
  flags.node.refused_retry = Millis{static_cast<int64_t>(flags.refused_retry * 1000)};
  flags.node.fetch_window = Millis{static_cast<int64_t>(flags.fetch_window * 1000)};
  if (!flags.serve && flags.serving.device.name != "cpu") {
    return Fail(Errc::kInvalid, "bad_device",
                "--device " + flags.serving.device.name +
                    ": what is only kept (--no-serve) is kept in the host's memory");
  }
  flags.serving.device.slots = flags.node.slots;
  if (flags.node.memory_bytes == 0) flags.node.memory_bytes = HalfOfMemory();
  return {};
}

// Blocks the signals that end the program, in every thread made from here on; Serve waits for them.
sigset_t BlockSignals() {
  std::signal(SIGPIPE, SIG_IGN);
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

// What the node loads goes through `serving`, and on its device where it has one.
void PutServing(Serving& serving, NodeOptions& node) {
  node.prepare = [&serving](Registry& registry, Generation& generation, const auto& progress,
                            const auto& make_room) {
    return serving.Prepare(registry, generation, progress, make_room);
  };
  serving.device().SetUp(node);
}

Result<void> Serve(Flags flags) {
  SIGNUM_TRY(Check(flags));
  SIGNUM_ASSIGN(const http::ServerOptions listen, ParseListen(flags.listen));
  const sigset_t signals = BlockSignals();
  spdlog::flush_on(spdlog::level::info);
  SIGNUM_ASSIGN(const std::unique_ptr<Serving> serving,
                Serving::Create(flags.serving, flags.node.cache_directory));
  if (flags.serve) PutServing(*serving, flags.node);
  SIGNUM_ASSIGN(const std::unique_ptr<Node> node, Node::Start(flags.node));
  http::Router router = NodeRoutes(*node, serving.get());
  AddOpenAiRoutes(router, *node, *serving, flags.api);
  http::Server::Hooks hooks;
  hooks.gate = [key = flags.api.api_key](const http::Request& request, auto&&...) {
    return CheckApiKey(request, key);
  };
  hooks.observe = [&serving](const http::AccessRecord& record) {
    serving->metrics().Observe(record);
  };
  SIGNUM_ASSIGN(const auto server,
                http::Server::Start(listen, std::move(router), std::move(hooks)));
  spdlog::info("node {} listens on {} port {}, computes on {}", flags.node.name, listen.address,
               server->port(), flags.node.device);
  if (!flags.port_file.empty()) {
    const std::string port = std::to_string(server->port()) + "\n";
    SIGNUM_TRY(WriteFileAtomically(flags.port_file, AsBytes(port)));
  }
  int signal = 0;
  sigwait(&signals, &signal);
  spdlog::info("stopping");
  server->Stop(std::chrono::seconds{5});
  serving->Stop();
  node->Stop();
  return {};
}

int Main(int argc, char** argv) {
  Flags flags;
  flags.node.max_guests = 16;
  CLI::App app("Signum's inference node: keeps the live deltas of its tenants verified in memory.",
               "signum-node");
  Declare(app, flags);
  auto ends = ParseSettings(app, argc, argv);
  if (!ends) ends = PrintedSettings(app);
  if (ends) {
    std::fputs(ends->text.c_str(), ends->code == 0 ? stdout : stderr);
    return ends->code == 0 ? 0 : static_cast<int>(ExitCode::kUsage);
  }
  const Result<void> done = Serve(std::move(flags));
  if (done) return 0;
  std::fprintf(stderr, "signum-node: %s (%s)\n", done.error().message.c_str(),
               done.error().reason.c_str());
  return done.error().code == Errc::kInvalid ? static_cast<int>(ExitCode::kUsage) : 1;
}

}  // namespace
}  // namespace signum::client

int main(int argc, char** argv) { return signum::client::Main(argc, argv); }
