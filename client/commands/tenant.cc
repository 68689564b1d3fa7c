#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"
#include "client/commands/tenant_change.h"

namespace signum::client {

namespace {

using nlohmann::json;

// What is used of what is in force, and whether that is the tenant's own or the server's.
void PrintQuota(const json& settings) {
  const json quota = settings.value("quota", json::object());
  const json in_force = settings.value("in_force", json::object());
  const json usage = settings.value("usage", json::object());
  const auto from = [&](const char* limit) {
    if (!quota.value(limit, json()).is_null()) return "tenant";
    return in_force.value(limit, json()).is_null() ? "-" : "server";
  };
  const auto bytes = [](const json& object, const char* key) {
    const std::string number = JsonCell(object, key);
    if (number == "-") return number;
    return number + " (" + HumanBytes(JsonNumberOr(object, key, 0)) + ")";
  };
  Table table({"", "USED", "LIMIT", "SET BY"});
  table.Add({"bytes", bytes(usage, "bytes"), bytes(in_force, "max_bytes"), from("max_bytes")});
  table.Add({"versions", JsonCell(usage, "versions"), JsonCell(in_force, "max_versions"),
             from("max_versions")});
  table.Add({"jobs", JsonCell(usage, "jobs"), JsonCell(in_force, "max_jobs"), from("max_jobs")});
  table.Add(
      {"requests/s", "-", JsonCell(in_force, "requests_per_second"), from("requests_per_second")});
  table.Add({"burst", "-", JsonCell(in_force, "burst"), from("burst")});
  PrintText(table.Format());
}

// "30 d" where it is whole days, else the nearest smaller unit that it is a multiple of.
std::string HumanAge(uint64_t seconds) {
  for (const auto& [name, unit] : {std::pair{" d", 86'400}, {" h", 3'600}, {" min", 60}}) {
    if (seconds % unit == 0) return std::to_string(seconds / unit) + name;
  }
  return std::to_string(seconds) + " s";
}

void PrintPolicy(const json& settings) {
  const json policy = settings.value("policy", json::object());
  const uint64_t age = JsonNumberOr(policy, "max_age", 0);
  Table table({"POLICY", "SET TO"});
  table.Add({"keep-last", JsonCell(policy, "keep_last")});
  table.Add({"max-age", age == 0 ? "-" : HumanAge(age)});
  table.Add({"keep-aliases", JsonCell(policy, "keep_aliases")});
  table.Add({"keep-exact", JsonCell(policy, "keep_exact")});
  PrintText("\n" + table.Format());
}

void Print(const json& settings) {
  PrintQuota(settings);
  PrintPolicy(settings);
}

Result<void> Run(const CommandContext& context, const std::string& tenant,
                 const TenantChange* set) {
  json change;
  if (set) {
    SIGNUM_ASSIGN(change, set->Parse());
  }
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const json settings,
                set ? registry->ChangeTenant(tenant, change) : registry->GetTenant(tenant));
  context.json ? PrintJson(settings) : Print(settings);
  return {};
}

}  // namespace

CommandRun AddTenant(CLI::App& app, const CommandContext& context) {
  auto tenant = std::make_shared<std::string>();
  auto change = std::make_shared<TenantChange>();
  auto sets = std::make_shared<bool>(false);
  app.require_subcommand(1);
  CLI::App* show =
      app.add_subcommand("show", "Show a tenant's limits, what it uses of them, and its policy");
  CLI::App* set = app.add_subcommand("set", "Set limits and rules; those that are not named stay");
  set->callback([sets] { *sets = true; });
  for (CLI::App* sub : {show, set}) {
    sub->add_option("TENANT", *tenant, "Name of the tenant")->required();
    sub->fallthrough();
  }
  change->AddOptions(*set);
  return [&context, tenant, change, sets] {
    return Run(context, *tenant, *sets ? change.get() : nullptr);
  };
}

}  // namespace signum::client
