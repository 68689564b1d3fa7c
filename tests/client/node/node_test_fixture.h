#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "client/node/node.h"
#include "tests/client/node/fake_registry.h"
#include "tests/support/eventually.h"
#include "tests/support/result_matchers.h"
#include "tests/support/temp_dir.h"

namespace signum::client {

// A whole node against a registry that misbehaves on request.
class NodeTest : public testing::Test {
 protected:
  NodeOptions Options() {
    NodeOptions options;
    options.name = "n1";
    options.registry_url = registry_.url();
    options.tenants = {"acme"};
    options.memory_bytes = 10 << 20;
    options.cache_directory = dir_ / "cache";
    options.watch_wait = std::chrono::seconds{1};
    options.report_interval = std::chrono::milliseconds{50};
    options.load_retry = {std::chrono::milliseconds{1}, std::chrono::milliseconds{5}, 3};
    options.call_retry = {std::chrono::milliseconds{1}, std::chrono::milliseconds{5}, 3};
    options.watch_retry = {std::chrono::milliseconds{1}, std::chrono::milliseconds{20}, 0};
    return options;
  }
  void StartNode() { StartNode(Options()); }
  void StartNode(NodeOptions options) {
    auto node = Node::Start(std::move(options));
    ASSERT_THAT(node, Ok());
    node_ = *std::move(node);
  }
  LiveModel Publish(uint64_t version, char fill) {
    return registry_.Publish("acme", "chat", version, fill, dir_ / "scratch");
  }
  // The byte all weights of the resident chat model hold; 0 where none is resident.
  char Weight() {
    const auto lease = node_->residency().Acquire("acme", "chat");
    if (!lease) return 0;
    const auto* part = (*lease)->delta->FindPart("w");
    return part == nullptr ? 0 : AsText((*lease)->delta->OpenPart(*part)->View()).back();
  }
  bool Serves(char fill) {
    return Eventually([&] { return Weight() == fill; });
  }
  bool Refuses(const std::string& reason) {
    return Eventually([&] {
      const nlohmann::json entry = registry_.Reported("chat", "refused");
      return entry.is_object() && entry["reason"].get<std::string>().starts_with(reason + ":");
    });
  }
  nlohmann::json Pending() { return node_->ResidencyDocument()["pending"]; }

  TempDir dir_;
  FakeRegistry registry_;
  std::unique_ptr<Node> node_;
};

}  // namespace signum::client
