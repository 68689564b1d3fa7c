#pragma once

#include <chrono>
#include <string>

#include "client/node/node.h"
#include "client/node/serve/serving.h"
#include "server/http/router.h"

namespace signum::client {

struct OpenAiOptions {
  std::string api_key;  // empty: none is asked for
  // For a model that is being loaded, and for an answer that is not streamed.
  std::chrono::milliseconds answer_wait{600'000};
};

// POST /v1/completions and /v1/chat/completions. Both outlive the router.
void AddOpenAiRoutes(http::Router& router, Node& node, Serving& serving, OpenAiOptions options);

// For Hooks::gate: 401 to what lacks the key, where there is one and the path is below /v1/.
std::optional<http::Response> CheckApiKey(const http::Request& request, const std::string& key);

}  // namespace signum::client
