#pragma once

#include "client/node/node.h"
#include "client/node/serve/serving.h"
#include "server/http/router.h"

namespace signum::client {

// What a node answers over HTTP: /healthz, /readyz, /metrics, /v1/residency, /v1/models. `node`
// and `serving` outlive the router.
// `serving`, where the node serves, adds what its engines are at.
http::Router NodeRoutes(Node& node, const Serving* serving = nullptr);

}  // namespace signum::client
