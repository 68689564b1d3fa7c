#include "server/openapi.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/embedded.h"

namespace signum {
namespace {

using nlohmann::json;

// "/files/{path...}" → "/files/{path}": OpenAPI knows no rest parameters.
std::string DocumentPath(std::string_view pattern) {
  std::string path(pattern);
  if (const size_t dots = path.find("...}"); dots != std::string::npos) path.erase(dots, 3);
  return path;
}

std::vector<std::string> PathParameters(const std::string& path) {
  std::vector<std::string> names;
  for (size_t open = path.find('{'); open != std::string::npos; open = path.find('{', open + 1)) {
    names.push_back(path.substr(open + 1, path.find('}', open) - open - 1));
  }
  return names;
}

json PathParameter(const std::string& name) {
  return {{"name", name}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}};
}

json Reference(std::string_view kind, std::string_view name) {
  return {{"$ref", "#/components/" + std::string(kind) + "/" + std::string(name)}};
}

// A schema's name has no slash, a media type has.
json Content(std::string_view what) {
  if (what.find('/') == std::string_view::npos) {
    return {{"application/json", {{"schema", Reference("schemas", what)}}}};
  }
  return {{std::string(what), json::object()}};
}

json Parameters(const Operation& operation, const std::string& path) {
  json parameters = json::array();
  for (const std::string& name : PathParameters(path)) parameters.push_back(PathParameter(name));
  for (std::string_view rest = operation.query; !rest.empty();) {
    const size_t end = std::min(rest.find(' '), rest.size());
    parameters.push_back(Reference("parameters", rest.substr(0, end)));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  const bool json_body = operation.request.find('/') == std::string_view::npos;
  const bool change = operation.method != "GET" && operation.method != "OPTIONS";
  if (change && json_body && operation.id != "reportNode") {
    parameters.push_back(Reference("parameters", "idempotencyKey"));
  }
  if (operation.tag == "aliases" && change) {
    parameters.push_back(Reference("parameters", "ifMatch"));
    parameters.push_back(Reference("parameters", "ifNoneMatch"));
  }
  return parameters;
}

json Describe(const Operation& operation, const std::string& path) {
  json answer = {{"description", operation.summary}};
  if (!operation.response.empty()) answer["content"] = Content(operation.response);
  json described = {{"operationId", operation.id},
                    {"tags", {operation.tag}},
                    {"summary", operation.summary},
                    {"parameters", Parameters(operation, path)},
                    {"responses",
                     {{std::to_string(operation.status), std::move(answer)},
                      {"default", Reference("responses", "Problem")}}}};
  if (!operation.request.empty()) {
    described["requestBody"] = {{"required", true}, {"content", Content(operation.request)}};
  }
  if (operation.roles.empty()) {
    described["security"] = json::array();
  } else {
    described["description"] = "Who may: " + std::string(operation.roles) + ".";
  }
  return described;
}

std::string Build() {
  json paths = json::object();
  for (const Operation& operation : Operations()) {
    const std::string path = DocumentPath(operation.pattern);
    std::string method(operation.method);
    std::transform(method.begin(), method.end(), method.begin(),
                   [](char c) { return static_cast<char>(c + 32); });
    paths[path][method] = Describe(operation, path);
  }
  const json document = {{"openapi", "3.1.0"},
                         {"info",
                          {{"title", "Signum"},
                           {"version", "1"},
                           {"description", "Distributed model store and delta registry."},
                           {"license", {{"name", "Apache-2.0"}, {"identifier", "Apache-2.0"}}}}},
                         {"security", json::array({{{"token", json::array()}}})},
                         {"paths", std::move(paths)},
                         {"components", json::parse(ComponentsJson())}};
  return document.dump();
}

}  // namespace

const std::string& OpenApiDocument() {
  static const std::string document = Build();
  return document;
}

}  // namespace signum
