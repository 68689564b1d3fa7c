#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"
#include "client/model_ref.h"

namespace signum::client {

namespace {

using nlohmann::json;

std::string ModelTable(const std::string& tenant, const json& models) {
  Table table({"MODEL", "LIVE", "LATEST", "VERSIONS"});
  for (const json& model : models) {
    table.Add({tenant + "/" + JsonCell(model, "model"), JsonCell(model, "live"),
               JsonCell(model, "latest"), JsonCell(model, "versions")});
  }
  return table.Format();
}

Result<void> ListVersions(const CommandContext& context, Registry& registry, const ModelRef& ref) {
  SIGNUM_ASSIGN(const json list, registry.ListVersions(ref.tenant, ref.model));
  if (context.json) {
    PrintJson(list);
    return {};
  }
  Table table({"VERSION", "STATE", "BASE", "UPLOAD", "DELTA", "RATIO", "CREATED", "ALIASES"});
  for (const json& version : list.at("versions")) {
    const json sizes = version.value("sizes", json::object());
    std::string aliases;
    for (const json& alias : version.value("aliases", json::array())) {
      aliases += (aliases.empty() ? "" : ",") + (alias.is_string() ? alias.get<std::string>() : "");
    }
    table.Add({JsonCell(version, "version"), JsonCell(version, "state"), JsonCell(version, "base"),
               HumanBytes(JsonNumberOr(sizes, "upload", 0)),
               HumanBytes(JsonNumberOr(sizes, "delta", 0)),
               Fixed(JsonRealOr(version, "ratio", 0), 2), JsonCell(version, "created"), aliases});
  }
  PrintText(table.Format());
  return {};
}

Result<void> ListModels(const CommandContext& context, Registry& registry,
                        const std::string& tenant) {
  SIGNUM_ASSIGN(const json list, registry.ListModels(tenant));
  if (context.json) {
    PrintJson(list);
  } else {
    PrintText(ModelTable(tenant, list.at("models")));
  }
  return {};
}

Result<void> ListAll(const CommandContext& context, Registry& registry) {
  SIGNUM_ASSIGN(const json bases, registry.ListBases());
  SIGNUM_ASSIGN(const json tenants, registry.ListTenants());
  json report = {{"bases", bases.at("bases")}, {"tenants", json::array()}};
  std::string text;
  for (const json& name : tenants.at("tenants")) {
    const std::string tenant =
        name.is_string() ? name.get<std::string>() : JsonCell(name, "tenant");
    SIGNUM_ASSIGN(const json models, registry.ListModels(tenant));
    report["tenants"].push_back({{"tenant", tenant}, {"models", models.at("models")}});
    text += "\n" + ModelTable(tenant, models.at("models"));
  }
  if (context.json) {
    PrintJson(report);
    return {};
  }
  Table table({"BASE", "ARCHITECTURE", "PARAMETERS", "SIZE", "DIGEST"});
  for (const json& base : report["bases"]) {
    table.Add({JsonCell(base, "name"), JsonCell(base, "architecture"), JsonCell(base, "parameters"),
               HumanBytes(JsonNumberOr(base.value("sizes", json::object()), "upload", 0)),
               JsonCell(base, "digest")});
  }
  PrintText(table.Format() + text);
  return {};
}

Result<void> Run(const CommandContext& context, const std::string& what) {
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  if (what.empty()) return ListAll(context, *registry);
  SIGNUM_ASSIGN(const ModelRef ref, ModelRef::Parse(what));
  if (ref.model.empty()) return ListModels(context, *registry, ref.tenant);
  return ListVersions(context, *registry, ref);
}

}  // namespace

CommandRun AddLs(CLI::App& app, const CommandContext& context) {
  auto what = std::make_shared<std::string>();
  app.add_option("TENANT[/MODEL]", *what, "What to list; default: everything you may see");
  return [&context, what] { return Run(context, *what); };
}

}  // namespace signum::client
