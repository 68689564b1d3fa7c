#include "server/http/server.h"

#include <sys/socket.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <random>
#include <thread>
#include <unordered_set>

#include "server/http/connection.h"

namespace signum::http {

namespace asio = boost::asio;
using asio::ip::tcp;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr milliseconds kTick{100};  // how exact deadlines are
constexpr size_t kScratch = 64 * 1024;
constexpr uint64_t kRejected = 256;  // connections above the limit that still get a 503, at most

std::string PeerText(const tcp::socket& socket) {
  boost::system::error_code error;
  const tcp::endpoint peer = socket.remote_endpoint(error);
  if (error) return "unknown";
  const std::string address = peer.address().to_string();
  return (peer.address().is_v6() ? "[" + address + "]" : address) + ":" +
         std::to_string(peer.port());
}

std::string RandomPrefix() {
  std::random_device random;
  std::string prefix(8, '0');
  for (char& c : prefix) c = "0123456789abcdef"[random() & 15];
  return prefix + "-";
}

Error CannotListen(const ServerOptions& options, const std::string& why) {
  return Fail(
      Errc::kUnavailable, "cannot_listen",
      "cannot listen on " + options.address + ":" + std::to_string(options.port) + ": " + why);
}

// SO_REUSEPORT would let a second server of the same user share a port silently: ask for it alone
// first.
Result<void> ProbePort(asio::io_context& io, const ServerOptions& options,
                       const tcp::endpoint& endpoint) {
  if (options.port == 0) return {};
  boost::system::error_code error;
  tcp::acceptor probe(io);
  probe.open(endpoint.protocol(), error);
  if (!error) probe.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) probe.bind(endpoint, error);
  if (!error) probe.listen(1, error);
  if (error) return CannotListen(options, error.message());
  return {};
}

Result<tcp::acceptor> Listen(asio::io_context& io, const ServerOptions& options,
                             const tcp::endpoint& endpoint) {
  using ReusePort = asio::detail::socket_option::boolean<SOL_SOCKET, SO_REUSEPORT>;
  boost::system::error_code error;
  tcp::acceptor acceptor(io);
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.set_option(ReusePort(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(4096, error);
  if (error) return CannotListen(options, error.message());
  return acceptor;
}

// One I/O thread with its listening socket and its connections, which no other thread touches.
class IoThread {
 public:
  IoThread(std::shared_ptr<asio::io_context> io, Shared& shared, tcp::acceptor acceptor)
      : io_(std::move(io)),
        shared_(shared),
        acceptor_(std::move(acceptor)),
        tick_(*io_),
        retry_(*io_),
        scratch_(kScratch) {}

  void Start() {
    Accept();
    Tick();
    thread_ = std::thread([this] { io_->run(); });
  }

  // From any thread.
  void Drain() {
    asio::post(*io_, [this] {
      boost::system::error_code ignored;
      acceptor_.close(ignored);
      retry_.cancel();
      for (Connection* connection : connections_) connection->Drain();
    });
  }
  void Abort() {
    asio::post(*io_, [this] {
      for (Connection* connection : connections_) connection->Abort();
    });
  }
  void Join() {
    asio::post(*io_, [this] {
      ticking_ = false;
      tick_.cancel();
    });
    work_.reset();
    thread_.join();
  }

 private:
  void Accept() {
    acceptor_.async_accept([this](const boost::system::error_code& error, tcp::socket socket) {
      if (error == asio::error::operation_aborted || !acceptor_.is_open()) return;
      if (error) return AcceptLater();
      Welcome(std::move(socket));
      Accept();
    });
  }

  // Out of file descriptors or memory: those that are open may end meanwhile.
  void AcceptLater() {
    retry_.expires_after(kTick);
    retry_.async_wait([this](const boost::system::error_code& error) {
      if (!error && acceptor_.is_open()) Accept();
    });
  }

  void Welcome(tcp::socket socket) {
    const uint64_t others = shared_.connections.fetch_add(1);
    const bool reject = others >= shared_.options.max_connections;
    const uint64_t told = std::min(kRejected, shared_.options.max_connections);
    if (others >= shared_.options.max_connections + told) {
      --shared_.connections;
      return;  // closes it
    }
    std::string peer = PeerText(socket);
    auto connection = std::make_unique<Connection>(io_, shared_, MutableBytes(scratch_),
                                                   std::move(socket), std::move(peer));
    Connection* raw = connection.get();
    connections_.insert(raw);
    auto serve = [raw, reject] { return reject ? raw->Reject() : raw->Run(); };
    asio::co_spawn(*io_, std::move(serve),
                   [this, owned = std::move(connection)](const std::exception_ptr&) mutable {
                     connections_.erase(owned.get());
                     owned.reset();
                     --shared_.connections;
                   });
  }

  void Tick() {
    tick_.expires_after(kTick);
    tick_.async_wait([this](const boost::system::error_code& error) {
      if (error || !ticking_) return;
      const auto now = steady_clock::now();
      for (Connection* connection : connections_) connection->CheckDeadline(now);
      Tick();
    });
  }

  std::shared_ptr<asio::io_context> io_;
  Shared& shared_;
  asio::executor_work_guard<asio::io_context::executor_type> work_{io_->get_executor()};
  tcp::acceptor acceptor_;
  asio::steady_timer tick_;
  bool ticking_ = true;  // a tick that is already due cannot be cancelled
  asio::steady_timer retry_;
  std::vector<std::byte> scratch_;
  std::unordered_set<Connection*> connections_;
  std::thread thread_;
};

Result<void> LoadTls(Shared& shared) {
  if (shared.options.tls.cert.empty()) return {};
  return shared.tls.Load(shared.options.tls);
}

class RunningServer final : public Server {
 public:
  RunningServer(std::unique_ptr<Shared> shared, std::vector<std::unique_ptr<IoThread>> threads,
                uint16_t port)
      : shared_(std::move(shared)), threads_(std::move(threads)), port_(port) {
    for (const auto& thread : threads_) thread->Start();
  }
  ~RunningServer() override { Stop(milliseconds(0)); }

  uint16_t port() const override { return port_; }
  uint64_t connections() const override { return shared_->connections; }

  Result<void> ReloadTls() override { return LoadTls(*shared_); }

  void Stop(milliseconds grace) override {
    const std::lock_guard lock(stopping_);
    if (threads_.empty()) return;
    shared_->draining = true;
    for (const auto& thread : threads_) thread->Drain();
    const auto until = steady_clock::now() + grace;
    while (shared_->connections > 0 && steady_clock::now() < until) Pause();
    while (shared_->connections > 0) {
      for (const auto& thread : threads_) thread->Abort();
      Pause();
    }
    for (const auto& thread : threads_) thread->Join();
    threads_.clear();
  }

 private:
  static void Pause() { std::this_thread::sleep_for(milliseconds(5)); }

  std::mutex stopping_;
  std::unique_ptr<Shared> shared_;
  std::vector<std::unique_ptr<IoThread>> threads_;
  const uint16_t port_;
};

ServerOptions WithDefaults(ServerOptions options) {
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  if (options.io_threads <= 0) options.io_threads = cores;
  if (options.pool_threads <= 0) options.pool_threads = std::max(8, 4 * cores);
  if (options.max_queued == 0) {
    options.max_queued = 128 * static_cast<uint64_t>(options.pool_threads);
  }
  return options;
}

}  // namespace

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& given, Router router,
                                              Hooks hooks) {
  const ServerOptions options = WithDefaults(given);
  if (options.tls.cert.empty() != options.tls.key.empty()) {
    return Fail(Errc::kInvalid, "bad_tls_options", "TLS needs a certificate and a key, or neither");
  }
  boost::system::error_code error;
  const auto address = asio::ip::make_address(options.address, error);
  if (error) return CannotListen(options, "not an IP address");
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes to sockets without MSG_NOSIGNAL

  const auto& o = options;
  std::unique_ptr<Shared> shared(new Shared{o,
                                            std::move(router),
                                            std::move(hooks),
                                            {},
                                            RandomPrefix(),
                                            Pool(o.pool_threads, o.max_queued)});
  SIGNUM_TRY(LoadTls(*shared));
  tcp::endpoint endpoint(address, options.port);
  std::vector<std::unique_ptr<IoThread>> threads;
  for (int i = 0; i < options.io_threads; ++i) {
    auto io = std::make_shared<asio::io_context>(1);
    if (i == 0) SIGNUM_TRY(ProbePort(*io, options, endpoint));
    SIGNUM_ASSIGN(auto acceptor, Listen(*io, options, endpoint));
    endpoint = acceptor.local_endpoint();
    threads.push_back(std::make_unique<IoThread>(std::move(io), *shared, std::move(acceptor)));
  }
  std::unique_ptr<Server> server =
      std::make_unique<RunningServer>(std::move(shared), std::move(threads), endpoint.port());
  return server;
}

}  // namespace signum::http
