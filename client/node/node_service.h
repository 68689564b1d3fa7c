#pragma once

#include "client/node/node.h"
#include "server/http/router.h"

namespace signum::client {

// What a node answers over HTTP: /healthz, /readyz, /metrics, /v1/residency, /v1/models. `node`
// outlives the router.
http::Router NodeRoutes(Node& node);

}  // namespace signum::client
