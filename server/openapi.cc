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

// What a parameter of a path may be. Anything else is unknown (404) or malformed (400).
json PathSchema(const std::string& name) {
  const std::string text = "[a-z0-9][a-z0-9._-]{0,62}";
  if (name == "index") return {{"type", "integer"}, {"minimum", 0}};
  if (name == "alias") {  // no number: that is a version
    return {
        {"type", "string"}, {"pattern", "^([a-z]|[0-9]+[a-z._-])[a-z0-9._-]*$"}, {"maxLength", 63}};
  }
  std::string pattern = "^" + text + "$";
  if (name == "version") pattern = "^([1-9][0-9]{0,17}|" + text + ")$";
  if (name == "digest") pattern = "^sha256:[0-9a-f]{64}$";
  if (name == "id") pattern = "^[A-Za-z0-9_-]{1,100}$";
  if (name == "path") pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,100}(/[A-Za-z0-9_-]{1,50})?$";
  return {{"type", "string"}, {"pattern", pattern}};
}

json PathParameter(const std::string& name) {
  return {{"name", name}, {"in", "path"}, {"required", true}, {"schema", PathSchema(name)}};
}

json Reference(std::string_view kind, std::string_view name) {
  return {{"$ref", "#/components/" + std::string(kind) + "/" + std::string(name)}};
}

// A list parted by spaces.
std::vector<std::string_view> Words(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

// A schema's name has no slash, a media type has.
json Content(std::string_view what) {
  json content = json::object();
  for (const std::string_view one : Words(what)) {
    if (one.find('/') == std::string_view::npos) {
      content["application/json"] = {{"schema", Reference("schemas", one)}};
    } else {
      content[std::string(one)] = json::object();
    }
  }
  return content;
}

// Every status that a well-formed exchange may end with: 500 is none of them.
json Responses(const Operation& operation) {
  json answer = {{"description", operation.summary}};
  if (!operation.response.empty()) answer["content"] = Content(operation.response);
  const json problem = Reference("responses", "Problem");
  json responses = {{"4XX", problem}, {"503", problem}};
  if (operation.method != "GET" && operation.method != "OPTIONS") responses["507"] = problem;
  if (operation.other_status != 0) responses[std::to_string(operation.other_status)] = answer;
  responses[std::to_string(operation.status)] = std::move(answer);
  return responses;
}

json Parameters(const Operation& operation, const std::string& path) {
  json parameters = json::array();
  for (const std::string& name : PathParameters(path)) parameters.push_back(PathParameter(name));
  for (const std::string_view name : Words(operation.query)) {
    parameters.push_back(Reference("parameters", name));
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
  json described = {{"operationId", operation.id},
                    {"tags", {operation.tag}},
                    {"summary", operation.summary},
                    {"parameters", Parameters(operation, path)},
                    {"responses", Responses(operation)}};
  if (!operation.request.empty()) {
    std::string_view request = operation.request;
    const bool optional = request.ends_with('?');
    if (optional) request.remove_suffix(1);
    described["requestBody"] = {{"required", !optional}, {"content", Content(request)}};
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
