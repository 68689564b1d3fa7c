#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <thread>

#include "client/capi/boundary.h"
#include "client/capi/handles.h"
#include "client/node/node_defaults.h"
#include "gpu/cuda_module.h"
#include "storage/base/name.h"

namespace signum::client {
namespace {

// The struct of the interface's first version.
constexpr size_t kFirstNodeOptions = offsetof(signum_node_options, device_memory_bytes);

Result<NodeOptions> ReadOptions(const signum_node_options& theirs) {
  const signum_node_options given = ReadStruct(theirs);
  SIGNUM_TRY(NeedArgument(given.registry_url, "registry_url"));
  SIGNUM_TRY(NeedArgument(given.tenants, "tenants"));
  SIGNUM_TRY(NeedArgument(given.cache_directory, "cache_directory"));
  NodeOptions out;
  out.registry_url = given.registry_url;
  out.token = TextOr(given.token, "");
  out.tls.ca_file = TextOr(given.ca_file, "");
  out.cache_directory = given.cache_directory;
  out.cache_bytes = given.cache_bytes;
  out.memory_bytes = given.memory_bytes != 0 ? given.memory_bytes : HalfOfMemory();
  out.device = TextOr(given.device, "cpu");
  out.name = given.name != nullptr ? given.name : HostName();
  out.trust_key = TextOr(given.trust_key, "");
  for (size_t i = 0; i < given.tenant_count; ++i) {
    SIGNUM_TRY(NeedArgument(given.tenants[i], "a tenant"));
    out.tenants.emplace_back(given.tenants[i]);
  }
  const double window = given.fetch_window_seconds;
  if (!(window >= 0 && window <= 86'400)) {
    return Fail(Errc::kInvalid, "bad_fetch_window", "fetch_window_seconds is not from 0 to 86400");
  }
  out.fetch_window = Millis{static_cast<int64_t>(window * 1000)};
  return out;
}

Result<void> CheckOptions(const NodeOptions& options) {
  SIGNUM_TRY(UrlOrigin(options.registry_url));
  SIGNUM_TRY(CheckName("node", options.name));
  if (options.tenants.empty()) return Fail(Errc::kInvalid, "no_tenant", "no tenant is named");
  for (const std::string& tenant : options.tenants) SIGNUM_TRY(CheckName("tenant", tenant));
  if (IsDeviceName(options.device)) return {};
  return Fail(Errc::kInvalid, "bad_device",
              "device '" + Printable(options.device) + "' is none of auto, cpu and cuda:N");
}

// Deltas go to the device as they are: what engines make of them is theirs.
Result<void> OpenDevice(uint64_t memory_bytes, NodeOptions& options, NodeParts& parts) {
  if (options.device == "cpu") return {};
  DeviceOptions wanted;
  wanted.name = options.device;
  wanted.memory_bytes = memory_bytes;
  wanted.threads = 1;
  SIGNUM_ASSIGN(std::shared_ptr<ServingDevice> device, ServingDevice::Open(wanted));
  device->SetUp(options);
  if (device->on_host()) return {};
  options.prepare = [device](Registry&, Generation& generation, const Loader::Progress& progress,
                             const Loader::MakeRoom& make_room) -> Result<void> {
    progress(GenerationState::kStaging, generation.live.size);
    auto staged = device->Stage(generation, make_room);
    if (!staged) return device->Explained(staged.error());
    generation.device = *std::move(staged);
    return {};
  };
  parts.late = std::make_unique<LateReleases>(device);
  parts.device = std::move(device);
  return {};
}

// A library must not write to a host's standard output, where spdlog's built-in logger goes.
void SetUpLogOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (!spdlog::default_logger()->name().empty()) return;  // the host's
    auto logger = std::make_shared<spdlog::logger>(
        "signum", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    const char* level = std::getenv("SIGNUM_LOG");
    logger->set_level(level != nullptr ? spdlog::level::from_str(level) : spdlog::level::warn);
    spdlog::set_default_logger(std::move(logger));
  });
}

// Threads started meanwhile take no signals: a host's handlers run on the host's threads, and a
// broken connection is an error of a call, not a SIGPIPE.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    for (const int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP}) {
      sigdelset(&all, fault);
    }
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

Result<void> WaitReady(const Node& node, double timeout_seconds) {
  using Clock = std::chrono::steady_clock;
  if (std::isnan(timeout_seconds)) {
    return Fail(Errc::kInvalid, "bad_timeout", "timeout_seconds is not a number");
  }
  constexpr double kLongest = 1e9;  // seconds: decades, and far from the clock's end
  const auto end =
      Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(
                         std::min(std::max(timeout_seconds, 0.0), kLongest)));
  while (true) {
    const std::string missing = node.NotReadyBecause();
    if (missing.empty()) return {};
    if (timeout_seconds >= 0 && Clock::now() >= end) {
      return Fail(Errc::kUnavailable, "not_ready", "not ready: " + missing);
    }
    std::this_thread::sleep_for(Millis{5});
  }
}

}  // namespace
}  // namespace signum::client

using namespace signum::client;  // NOLINT: the C interface of that namespace
using signum::Result;

extern "C" {

signum_status signum_node_open(const signum_node_options* options, signum_node** node) {
  if (node != nullptr) *node = nullptr;
  return AtBoundary([&]() -> Result<void> {
    SIGNUM_TRY(NeedArgument(options, "options"));
    SIGNUM_TRY(NeedArgument(node, "node"));
    SIGNUM_TRY(CheckStructSize(options->struct_size, kFirstNodeOptions, "signum_node_options"));
    SIGNUM_ASSIGN(NodeOptions chosen, ReadOptions(*options));
    SIGNUM_TRY(CheckOptions(chosen));
    SetUpLogOnce();
    const SignalsBlocked blocked;
    auto parts = std::make_shared<NodeParts>();
    SIGNUM_TRY(OpenDevice(ReadStruct(*options).device_memory_bytes, chosen, *parts));
    SIGNUM_ASSIGN(parts->node, Node::Start(std::move(chosen)));
    *node = new signum_node{std::move(parts)};
    return {};
  });
}

signum_status signum_node_wait_ready(signum_node* node, double timeout_seconds) {
  return AtBoundary([&]() -> Result<void> {
    SIGNUM_TRY(NeedArgument(node, "node"));
    return WaitReady(node->node(), timeout_seconds);
  });
}

signum_status signum_node_residency(signum_node* node, char** json) {
  return AtBoundary([&]() -> Result<void> {
    SIGNUM_TRY(NeedArgument(node, "node"));
    SIGNUM_TRY(NeedArgument(json, "json"));
    *json = NewString(node->node().ResidencyDocument().dump());
    return {};
  });
}

void signum_node_close(signum_node* node) {
  if (node == nullptr) return;
  AtBoundary([&]() -> Result<void> {
    node->node().Stop();
    if (node->parts->late != nullptr) node->parts->late->Stop();
    delete node;
    return {};
  });
}

}  // extern "C"
