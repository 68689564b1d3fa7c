#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "client/answer_fields.h"
#include "client/commands/command.h"

namespace signum::client {

namespace {

using nlohmann::json;

constexpr const char* kDefault = "default";  // as a limit: the server's

struct Options {
  std::string tenant;
  std::string max_bytes, max_versions, max_jobs, requests, burst;
};

Result<json> Value(json value) {
  return Result<json>(boost::system::in_place_value, std::move(value));
}

Error BadLimit(const char* flag, const char* must_be) {
  return Fail(Errc::kInvalid, "bad_limit",
              std::string(flag) + " must be " + must_be + ", or '" + kDefault + "'");
}

Result<json> ParseWhole(const char* flag, const std::string& text) {
  if (text == kDefault) return Value(nullptr);
  uint64_t limit = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, limit);
  if (error != std::errc() || end != last) return BadLimit(flag, "a whole number");
  return Value(limit);
}

Result<json> ParseRate(const char* flag, const std::string& text) {
  if (text == kDefault) return Value(nullptr);
  double rate = 0;
  if (!CLI::detail::lexical_cast(text, rate) || !std::isfinite(rate) || rate <= 0) {
    return BadLimit(flag, "a number over 0");
  }
  return Value(rate);
}

Result<json> ChangeOf(const Options& options) {
  json change = json::object();
  const auto whole = [&](const char* field, const char* flag,
                         const std::string& text) -> Result<void> {
    if (text.empty()) return {};
    SIGNUM_ASSIGN(change[field], ParseWhole(flag, text));
    return {};
  };
  SIGNUM_TRY(whole("max_bytes", "--max-bytes", options.max_bytes));
  SIGNUM_TRY(whole("max_versions", "--max-versions", options.max_versions));
  SIGNUM_TRY(whole("max_jobs", "--max-jobs", options.max_jobs));
  SIGNUM_TRY(whole("burst", "--burst", options.burst));
  if (!options.requests.empty()) {
    SIGNUM_ASSIGN(change["requests_per_second"], ParseRate("--requests", options.requests));
  }
  if (change.empty()) return Fail(Errc::kInvalid, "nothing_to_set", "which limit? See --help");
  return Value(std::move(change));
}

// As CLI::AsSizeValue, but for one word.
std::string SizeOrDefault(std::string& text) {
  return text == kDefault ? "" : CLI::AsSizeValue(true)(text);
}

// What is used of what is in force, and whether that is the tenant's own or the server's.
void Print(const json& settings) {
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

Result<void> Run(const CommandContext& context, const Options& options, bool set) {
  json change;
  if (set) {
    SIGNUM_ASSIGN(change, ChangeOf(options));
  }
  SIGNUM_ASSIGN(const auto registry, context.Connect());
  SIGNUM_ASSIGN(const json settings, set ? registry->ChangeQuota(options.tenant, change)
                                         : registry->GetTenant(options.tenant));
  context.json ? PrintJson(settings) : Print(settings);
  return {};
}

}  // namespace

CommandRun AddTenant(CLI::App& app, const CommandContext& context) {
  auto options = std::make_shared<Options>();
  auto sets = std::make_shared<bool>(false);
  app.require_subcommand(1);
  CLI::App* show = app.add_subcommand("show", "Show a tenant's limits and what it uses of them");
  CLI::App* set = app.add_subcommand("set", "Set limits; those that are not named stay");
  set->callback([sets] { *sets = true; });
  for (CLI::App* sub : {show, set}) {
    sub->add_option("TENANT", options->tenant, "Name of the tenant")->required();
    sub->fallthrough();
  }
  set->footer("A limit may be 'default': what the server was started with.");
  set->add_option("--max-bytes", options->max_bytes, "Logical bytes that it may hold: 500GB")
      ->transform(CLI::Validator(SizeOrDefault, "SIZE"));
  set->add_option("--max-versions", options->max_versions, "Versions, all models together");
  set->add_option("--max-jobs", options->max_jobs, "Jobs queued and running");
  set->add_option("--requests", options->requests, "Requests a second of its tokens");
  set->add_option("--burst", options->burst, "Requests that may come at once");
  return [&context, options, sets] { return Run(context, *options, *sets); };
}

}  // namespace signum::client
