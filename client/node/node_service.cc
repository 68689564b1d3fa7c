#include "client/node/node_service.h"

#include <nlohmann/json.hpp>

namespace signum::client {

namespace {

http::Response Text(int status, std::string body, const char* type) {
  http::Response response;
  response.status = status;
  response.Set("Content-Type", type);
  response.body = std::move(body);
  return response;
}

http::Response NoStore(http::Response response) {
  response.Set("Cache-Control", "no-store");
  return response;
}

http::Response Ready(const Node& node) {
  const std::string missing = node.NotReadyBecause();
  if (missing.empty()) return NoStore(http::Json(200, R"({"status":"ready"})"));
  http::Response response =
      http::Json(503, nlohmann::json{{"status", "starting"}, {"detail", missing}}.dump());
  response.Set("Retry-After", "1");
  return NoStore(std::move(response));
}

void AddGet(http::Router& router, const char* path, std::function<http::Response()> answer) {
  http::Handler handler = [answer = std::move(answer)](const http::Request&, const http::Params&) {
    return answer();
  };
  router.Add({.method = "GET", .pattern = path, .handler = std::move(handler)});
}

}  // namespace

http::Router NodeRoutes(Node& node) {
  http::Router router;
  AddGet(router, "/healthz", [] { return NoStore(http::Json(200, R"({"status":"ok"})")); });
  AddGet(router, "/readyz", [&node] { return Ready(node); });
  AddGet(router, "/metrics", [&node] {
    return NoStore(Text(200, node.MetricsText(), "text/plain; version=0.0.4; charset=utf-8"));
  });
  AddGet(router, "/v1/residency",
         [&node] { return NoStore(http::Json(200, node.ResidencyDocument().dump())); });
  AddGet(router, "/v1/models",
         [&node] { return NoStore(http::Json(200, node.ModelsDocument().dump())); });
  return router;
}

}  // namespace signum::client
