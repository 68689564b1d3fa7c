#include "client/commands/tenant_change.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

namespace signum::client {

namespace {

using nlohmann::json;

constexpr const char* kDefault = "default";  // as a limit: the server's
constexpr const char* kNone = "none";        // as a rule: there is none

Result<json> Value(json value) {
  return Result<json>(boost::system::in_place_value, std::move(value));
}

Error BadLimit(const char* flag, const char* must_be, const char* nothing) {
  return Fail(Errc::kInvalid, "bad_limit",
              std::string(flag) + " must be " + must_be + ", or '" + nothing + "'");
}

// `nothing` is the word that takes it away.
Result<json> ParseWhole(const char* flag, const std::string& text, const char* nothing) {
  if (text == nothing) return Value(nullptr);
  uint64_t number = 0;
  const char* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number);
  if (error != std::errc() || end != last) return BadLimit(flag, "a whole number", nothing);
  return Value(number);
}

Result<json> ParseRate(const char* flag, const std::string& text) {
  if (text == kDefault) return Value(nullptr);
  double rate = 0;
  if (!CLI::detail::lexical_cast(text, rate) || !std::isfinite(rate) || rate <= 0) {
    return BadLimit(flag, "a number over 0", kDefault);
  }
  return Value(rate);
}

// As CLI::AsSizeValue and as a time with its unit, but for one word.
std::string SizeOrDefault(std::string& text) {
  return text == kDefault ? "" : CLI::AsSizeValue(true)(text);
}

std::string AgeOrNone(std::string& text) {
  static const CLI::AsNumberWithUnit age(
      std::map<std::string, int64_t>{{"s", 1}, {"m", 60}, {"h", 3'600}, {"d", 86'400}});
  return text == kNone ? "" : age(text);
}

// Whole numbers, each under its field where its flag was given.
struct Whole {
  const char* field;
  const char* flag;
  const std::string& text;
};

Result<json> ParseAll(std::initializer_list<Whole> numbers, const char* nothing) {
  json change = json::object();
  for (const Whole& number : numbers) {
    if (number.text.empty()) continue;
    SIGNUM_ASSIGN(change[number.field], ParseWhole(number.flag, number.text, nothing));
  }
  return Value(std::move(change));
}

}  // namespace

void TenantChange::AddOptions(CLI::App& app) {
  const CLI::Validator yes_or_no = CLI::IsMember({"yes", "no"});
  app.add_option("--max-bytes", max_bytes_, "Logical bytes that it may hold: 500GB")
      ->transform(CLI::Validator(SizeOrDefault, "SIZE"));
  app.add_option("--max-versions", max_versions_, "Versions, all models together");
  app.add_option("--max-jobs", max_jobs_, "Jobs queued and running");
  app.add_option("--requests", requests_, "Requests a second of its tokens");
  app.add_option("--burst", burst_, "Requests that may come at once");
  app.add_option("--keep-last", keep_last_, "Keep the newest so many versions of each model");
  app.add_option("--max-age", max_age_, "Keep versions that are not older: 30d, 12h, 5m or 90s")
      ->transform(CLI::Validator(AgeOrNone, "AGE"));
  app.add_option("--keep-aliases", keep_aliases_,
                 "Keep what an alias pointed at before, for a rollback")
      ->check(yes_or_no);
  app.add_option("--keep-exact", keep_exact_, "Keep uploads bit for bit")->check(yes_or_no);
  app.footer(
      "A limit may be 'default': what the server was started with. --keep-last and --max-age may "
      "be\n"
      "'none'. With either, a collection deletes versions that no rule keeps; none ever deletes "
      "what\n"
      "an alias points at. `signum gc --dry-run` shows what would go.");
}

Result<json> TenantChange::ParseQuota() const {
  SIGNUM_ASSIGN(json quota, ParseAll({{"max_bytes", "--max-bytes", max_bytes_},
                                      {"max_versions", "--max-versions", max_versions_},
                                      {"max_jobs", "--max-jobs", max_jobs_},
                                      {"burst", "--burst", burst_}},
                                     kDefault));
  if (!requests_.empty()) {
    SIGNUM_ASSIGN(quota["requests_per_second"], ParseRate("--requests", requests_));
  }
  return Value(std::move(quota));
}

Result<json> TenantChange::ParsePolicy() const {
  SIGNUM_ASSIGN(json policy, ParseAll({{"keep_last", "--keep-last", keep_last_},
                                       {"max_age", "--max-age", max_age_}},
                                      kNone));
  if (!keep_aliases_.empty()) policy["keep_aliases"] = keep_aliases_ == "yes";
  if (!keep_exact_.empty()) policy["keep_exact"] = keep_exact_ == "yes";
  return Value(std::move(policy));
}

Result<json> TenantChange::Parse() const {
  SIGNUM_ASSIGN(json quota, ParseQuota());
  SIGNUM_ASSIGN(json policy, ParsePolicy());
  json change = json::object();
  if (!quota.empty()) change["quota"] = std::move(quota);
  if (!policy.empty()) change["policy"] = std::move(policy);
  if (change.empty()) return Fail(Errc::kInvalid, "nothing_to_set", "set what? See --help");
  return Value(std::move(change));
}

}  // namespace signum::client
