#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "client/capi/late_releases.h"
#include "client/capi/signum.h"
#include "client/capi/tensor_table.h"
#include "client/node/node.h"

// What the opaque handles of signum.h are.

namespace signum::client {

// A node with what its leases need beyond its close.
struct NodeParts {
  std::shared_ptr<ServingDevice> device;  // null where deltas are in the host's memory
  std::unique_ptr<Node> node;
  std::unique_ptr<LateReleases> late;  // of the device
};

}  // namespace signum::client

struct signum_node {
  std::shared_ptr<signum::client::NodeParts> parts;

  signum::client::Node& node() const { return *parts->node; }
};

// Counted: by signum_lease_retain, and by every managed tensor over its memory. It keeps the node,
// whose memory it reads, also after that was closed.
struct signum_lease {
  signum_lease(std::shared_ptr<signum::client::NodeParts> of, signum::client::Lease taken)
      : parts(std::move(of)), lease(std::move(taken)) {}

  // Built by the first who asks: an acquire on the way of a request costs a look-up.
  const signum::client::TensorTable& table() const {
    std::call_once(once, [this] { built.emplace(outline(), place()); });
    return *built;
  }
  signum::client::TensorPlace place() const;

  std::atomic<uint64_t> references{1};
  std::shared_ptr<signum::client::NodeParts> parts;
  signum::client::Lease lease;
  std::string digest{lease->live.digest.Text()};
  std::string base_digest{lease->live.base_digest.Text()};
  mutable std::once_flag once;
  mutable std::optional<signum::client::TensorTable> built;

 private:
  signum::client::DeltaOutline outline() const {
    return lease->outline != nullptr ? *lease->outline : signum::client::OutlineOf(*lease->delta);
  }
};
