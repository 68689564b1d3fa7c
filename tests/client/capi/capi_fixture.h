#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "client/capi/signum.h"
#include "tests/client/node/fake_registry.h"
#include "tests/support/eventually.h"
#include "tests/support/temp_dir.h"

namespace signum::client {

// libsignum.so as an engine uses it, against a registry that does what it is told.
class Capi : public testing::Test {
 protected:
  ~Capi() override { signum_node_close(node_); }

  signum_node_options Options() {
    signum_node_options options{};
    options.struct_size = sizeof(options);
    options.registry_url = url_.c_str();
    options.tenants = tenants_;
    options.tenant_count = 1;
    options.cache_directory = cache_.c_str();
    options.memory_bytes = 10 << 20;
    options.name = "n1";
    return options;
  }
  void Open() {
    const signum_node_options options = Options();
    ASSERT_EQ(signum_node_open(&options, &node_), SIGNUM_OK) << signum_last_error();
    ASSERT_EQ(signum_node_wait_ready(node_, 20), SIGNUM_OK) << signum_last_error();
  }
  void Publish(uint64_t version, char fill) {
    registry_.Publish("acme", "chat", version, fill, dir_ / "scratch");
  }
  signum_lease* Acquire() {
    signum_lease* lease = nullptr;
    EXPECT_EQ(signum_lease_acquire(node_, "acme/chat", &lease), SIGNUM_OK) << signum_last_error();
    return lease;
  }
  static uint64_t Version(const signum_lease* lease) {
    signum_lease_info info{};
    info.struct_size = sizeof(info);
    EXPECT_EQ(signum_lease_describe(lease, &info), SIGNUM_OK);
    return info.version;
  }
  uint64_t LiveVersion() {
    signum_lease* lease = Acquire();
    const uint64_t version = Version(lease);
    signum_lease_release(lease);
    return version;
  }
  static signum_tensor Weight(const signum_lease* lease) {
    signum_tensor tensor{};
    tensor.struct_size = sizeof(tensor);
    EXPECT_EQ(signum_lease_find(lease, "w", &tensor), SIGNUM_OK) << signum_last_error();
    return tensor;
  }
  // Whether the lease's weight holds `fill` from first to last byte.
  static bool AllAre(const signum_lease* lease, char fill) {
    const signum_tensor tensor = Weight(lease);
    const auto* bytes = static_cast<const char*>(tensor.data);
    return std::all_of(bytes, bytes + tensor.bytes, [&](char byte) { return byte == fill; });
  }
  nlohmann::json Residency() {
    char* text = nullptr;
    EXPECT_EQ(signum_node_residency(node_, &text), SIGNUM_OK);
    nlohmann::json out = nlohmann::json::parse(text);
    signum_string_free(text);
    return out;
  }
  // The open of `options` fails with this status and reason.
  static void ExpectRefused(const signum_node_options& options, const char* reason) {
    signum_node* node = nullptr;
    EXPECT_EQ(signum_node_open(&options, &node), SIGNUM_INVALID);
    EXPECT_STREQ(signum_last_error_reason(), reason) << signum_last_error();
    EXPECT_EQ(node, nullptr);
  }

  TempDir dir_;
  FakeRegistry registry_;
  std::string url_ = registry_.url();
  std::string cache_ = (dir_ / "cache").string();
  const char* tenants_[1] = {"acme"};
  signum_node* node_ = nullptr;
};

}  // namespace signum::client
