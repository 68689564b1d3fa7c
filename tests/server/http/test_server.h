#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "server/http/conditional.h"
#include "server/http/serve_source.h"
#include "server/http/server.h"
#include "tests/server/http/http_client.h"

namespace signum::http::test {

// A value that others wait for, with a limit so that a failing test ends.
template <class T>
class Shown {
 public:
  void Set(T value) {
    const std::lock_guard lock(mutex_);
    value_ = std::move(value);
    changed_.notify_all();
  }
  T Get() {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  template <class Condition>
  bool WaitUntil(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(20), [&] { return condition(value_); });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  T value_{};
};

// What happened to a sink, to be looked at from the test.
struct SinkLog {
  std::string bytes;
  int writes = 0;
  bool finished = false;
  bool destroyed = false;
};

// Collects what it is given; fails with "disk_full" once `fail_after` bytes came.
class LoggingSink final : public BodySink {
 public:
  LoggingSink(std::shared_ptr<Shown<SinkLog>> log, size_t fail_after)
      : shown_(std::move(log)), fail_after_(fail_after) {}
  ~LoggingSink() override {
    log_.destroyed = true;
    shown_->Set(log_);
  }
  Result<void> Write(ConstBytes bytes) override {
    ++log_.writes;
    log_.bytes.append(AsText(bytes));
    shown_->Set(log_);
    if (log_.bytes.size() > fail_after_) return Fail(Errc::kExhausted, "disk_full", "disk is full");
    return {};
  }
  Response Refuse(const Error& error) override { return Problem(error, ""); }
  Response Finish() override {
    log_.finished = true;
    return Json(201, "{\"size\":" + std::to_string(log_.bytes.size()) + "}");
  }

 private:
  std::shared_ptr<Shown<SinkLog>> shown_;
  size_t fail_after_;
  SinkLog log_;
};

// Those who wait for a wake.
class Bell {
 public:
  Subscribe subscribe() {
    return [this](std::function<void()> wake) -> std::shared_ptr<void> {
      const std::lock_guard lock(mutex_);
      const int key = next_++;
      waiting_.emplace(key, std::move(wake));
      return {this, [key](Bell* bell) {
                const std::lock_guard inner(bell->mutex_);
                bell->waiting_.erase(key);
              }};
    };
  }
  void Ring() {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, wake] : waiting_) wake();
  }
  size_t waiting() {
    const std::lock_guard lock(mutex_);
    return waiting_.size();
  }
  // Whether the number of waiters becomes `count` soon.
  bool WaitFor(size_t count) {
    for (int i = 0; i < 2000 && waiting() != count; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return waiting() == count;
  }

 private:
  std::mutex mutex_;
  std::map<int, std::function<void()>> waiting_;
  int next_ = 0;
};

// Some megabytes that differ everywhere.
inline std::string Pattern(size_t size) {
  std::string bytes(size, '\0');
  uint64_t state = 88172645463325252ull;
  for (char& c : bytes) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    c = static_cast<char>(state >> 24);
  }
  return bytes;
}

// Hides the view, so that the server has to read.
class ReadOnlySource final : public ByteSource {
 public:
  explicit ReadOnlySource(std::string bytes, uint64_t corrupt_from = UINT64_MAX)
      : bytes_(std::move(bytes)), corrupt_from_(corrupt_from) {}
  uint64_t size() const override { return bytes_.size(); }
  Result<void> Read(uint64_t offset, MutableBytes out) const override {
    if (offset + out.size() > corrupt_from_) {
      return Fail(Errc::kCorrupt, "corrupt_object", "object 7 does not match its checksum");
    }
    return bytes_.Read(offset, out);
  }

 private:
  MemorySource bytes_;
  uint64_t corrupt_from_;
};

// A server on a free port with routes that the tests share.
class ServerTest : public ::testing::Test {
 protected:
  void TearDown() override { server_.reset(); }

  void StartServer(ServerOptions options = {}) {
    if (options.io_threads == 0) options.io_threads = 2;
    Server::Hooks hooks;
    hooks.gate = [](Request& request, const Route*, const Params&) -> std::optional<Response> {
      if (request.Header("authorization") != "Bearer wrong") return std::nullopt;
      return Problem(Fail(Errc::kUnauthorized, "bad_token", "no such token"), request.id);
    };
    hooks.observe = [this](const AccessRecord& record) {
      const std::lock_guard lock(seen_mutex_);
      seen_.push_back(std::string(record.route) + " " + std::to_string(record.status));
      seen_bytes_in_ = record.bytes_in;
    };
    auto started = Server::Start(options, Routes(), std::move(hooks));
    ASSERT_TRUE(started.has_value()) << started.error().message;
    server_ = std::move(*started);
  }

  uint16_t port() const { return server_->port(); }
  // Whether the server reported "route status", now or within `tries` × 5 ms.
  bool Saw(const std::string& what, int tries = 2000) {
    for (int i = 0; i < tries; ++i) {
      {
        const std::lock_guard lock(seen_mutex_);
        if (std::find(seen_.begin(), seen_.end(), what) != seen_.end()) return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }

  Router Routes();
  void AddPlainRoutes(Router* router);
  void AddByteRoutes(Router* router);
  void AddBodyRoutes(Router* router);
  void AddWaitRoutes(Router* router);

  const std::string blob_ = Pattern(3'000'000);
  std::shared_ptr<Shown<SinkLog>> sink_log_ = std::make_shared<Shown<SinkLog>>();
  size_t sink_fails_after_ = SIZE_MAX;
  Bell bell_;
  Shown<int> news_;      // what /wait and /events report once it is not 0
  Shown<bool> release_;  // ends /block
  Shown<int> blocked_;
  std::atomic<int> blocked_count_{0};
  std::atomic<int> polls_{0};
  std::mutex seen_mutex_;
  std::vector<std::string> seen_;
  uint64_t seen_bytes_in_ = 0;
  std::unique_ptr<Server> server_;
};

}  // namespace signum::http::test
