#include "client/node/node_service.h"

#include <nlohmann/json.hpp>

#include "client/node/serve/openai_answer.h"
#include "storage/base/name.h"

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

nlohmann::json ResidencyWithEngines(const Node& node, const Serving* serving) {
  nlohmann::json document = node.ResidencyDocument();
  if (serving != nullptr) document["serving"] = serving->StatsDocument();
  return document;
}

// {"models":["tenant/model", …]}: 202, or 404 naming the first that is not served here.
http::Response Prefetch(Node& node, const http::Request& request) {
  const auto body = nlohmann::json::parse(request.body, nullptr, false);
  const bool shaped = body.is_object() && body.contains("models") && body["models"].is_array();
  const auto bad = [&] {
    return http::ProblemStatus(400, "bad_request", "give {\"models\": [\"tenant/model\", …]}",
                               request.id);
  };
  if (!shaped) return bad();
  for (const auto& model : body["models"]) {
    const std::string name = model.is_string() ? model.get<std::string>() : "";
    const size_t slash = name.find('/');
    if (slash == std::string::npos) return bad();
    const Result<void> asked = node.Prefetch(name.substr(0, slash), name.substr(slash + 1));
    if (!asked) return http::Problem(asked.error(), request.id);
  }
  return NoStore(http::Json(202, "{}"));
}

http::Response NotNow(const char* status, const std::string& detail) {
  return NoStore(http::Json(503, nlohmann::json{{"status", status}, {"detail", detail}}.dump()));
}

std::string FailedBecause(const Serving* serving) {
  return serving == nullptr ? "" : serving->FailedBecause();
}

http::Response Healthy(const Serving* serving) {
  const std::string failed = FailedBecause(serving);
  if (!failed.empty()) return NotNow("failed", failed);
  return NoStore(http::Json(200, R"({"status":"ok"})"));
}

http::Response Ready(const Node& node, const Serving* serving) {
  const std::string failed = FailedBecause(serving);
  if (!failed.empty()) return NotNow("failed", failed);
  const std::string missing = node.NotReadyBecause();
  if (missing.empty()) return NoStore(http::Json(200, R"({"status":"ready"})"));
  http::Response response = NotNow("starting", missing);
  response.Set("Retry-After", "1");
  return response;
}

// One entry of /v1/models, as the OpenAI API has it.
http::Response OneModel(const Node& node, const std::string& name) {
  const nlohmann::json document = node.ModelsDocument();
  for (const nlohmann::json& model : document["data"]) {
    if (model["id"] == name) return NoStore(http::Json(200, model.dump()));
  }
  return OpenAiError(
      Fail(Errc::kNotFound, "unknown_model", "no model '" + Printable(name) + "' is served here"));
}

void AddGet(http::Router& router, const char* path, std::function<http::Response()> answer,
            bool inline_ok = false) {
  http::Handler handler = [answer = std::move(answer)](const http::Request&, const http::Params&) {
    return answer();
  };
  router.Add(
      {.method = "GET", .pattern = path, .handler = std::move(handler), .inline_ok = inline_ok});
}

}  // namespace

http::Router NodeRoutes(Node& node, const Serving* serving) {
  http::Router router;
  // Whoever asks whether the node is well does not wait for long prompts being read.
  AddGet(
      router, "/healthz", [serving] { return Healthy(serving); }, true);
  AddGet(
      router, "/readyz", [&node, serving] { return Ready(node, serving); }, true);
  AddGet(router, "/metrics", [&node, serving] {
    std::string text = node.MetricsText();
    if (serving != nullptr) text += serving->MetricsText();
    return NoStore(Text(200, std::move(text), "text/plain; version=0.0.4; charset=utf-8"));
  });
  AddGet(router, "/v1/residency", [&node, serving] {
    return NoStore(http::Json(200, ResidencyWithEngines(node, serving).dump()));
  });
  http::Handler prefetch = [&node](const http::Request& request, const http::Params&) {
    return Prefetch(node, request);
  };
  router.Add(
      {.method = "POST", .pattern = "/v1/residency/prefetch", .handler = std::move(prefetch)});
  AddGet(router, "/v1/models",
         [&node] { return NoStore(http::Json(200, node.ModelsDocument().dump())); });
  http::Handler model = [&node](const http::Request&, const http::Params& params) {
    return OneModel(node, params[0]);
  };
  router.Add({.method = "GET", .pattern = "/v1/models/{model...}", .handler = std::move(model)});
  return router;
}

}  // namespace signum::client
