#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"

namespace signum::client {

namespace {

using nlohmann::json;

struct Options {
  std::string by = "tenant,model";
  bool csv = false;
};

std::vector<std::string> Row(const std::string& name, const json& group) {
  const json stored = group.value("stored", json::object());
  std::vector<std::string> out = {name, JsonCell(group, "versions"),
                                  HumanBytes(JsonNumberOr(group, "uploaded", 0))};
  for (const char* key : {"delta", "exact", "base_share", "metadata", "total"}) {
    out.push_back(HumanBytes(JsonNumberOr(stored, key, 0)));
  }
  out.push_back(Fixed(JsonRealOr(group, "ratio", 0), 2));
  out.push_back(Fixed(JsonRealOr(group, "delta_ratio", 0), 2));
  return out;
}

std::string GroupName(const json& group) {
  std::string out;
  for (const char* key : {"base", "tenant", "model"}) {
    if (group.contains(key)) out += (out.empty() ? "" : "/") + JsonCell(group, key);
  }
  return out;
}

Result<void> Run(const CommandContext& context, const Options& options) {
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  if (options.csv) {
    SIGNUM_ASSIGN(const std::string csv, registry->SavingsCsv(options.by));
    PrintText(csv);
    return {};
  }
  SIGNUM_ASSIGN(const json savings, registry->Savings(options.by));
  if (context.json) {
    PrintJson(savings);
    return {};
  }
  Table table({"GROUP", "VERSIONS", "UPLOADED", "DELTA", "EXACT", "BASE SHARE", "METADATA",
               "STORED", "RATIO", "DELTA RATIO"});
  SIGNUM_ASSIGN(const json* groups, JsonArray(savings, "groups"));
  for (const json& group : *groups) table.Add(Row(GroupName(group), group));
  table.Add(Row("total", savings.value("totals", json::object())));
  PrintText(table.Format());
  return {};
}

}  // namespace

CommandRun AddAudit(CLI::App& app, const CommandContext& context) {
  auto options = std::make_shared<Options>();
  app.add_option("--by", options->by,
                 "Group by base, tenant, model, comma separated (default: tenant,model)");
  app.add_flag("--csv", options->csv, "Print CSV (RFC 4180)");
  return [&context, options] { return Run(context, *options); };
}

}  // namespace signum::client
