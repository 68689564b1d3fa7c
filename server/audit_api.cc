#include <spdlog/fmt/fmt.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "server/app.h"
#include "server/change.h"
#include "server/handler.h"
#include "server/principal.h"
#include "storage/savings.h"

namespace signum {
namespace {

using nlohmann::json;

// ---- what is stored, and what it saved

Result<SavingsBy> ParseBy(const http::Request& request) {
  SavingsBy by;
  std::string_view rest = request.Query("by").value_or("tenant");
  while (!rest.empty()) {
    const size_t end = std::min(rest.find(','), rest.size());
    const std::string_view name = rest.substr(0, end);
    if (name == "base") {
      by.base = true;
    } else if (name == "tenant") {
      by.tenant = true;
    } else if (name == "model") {
      by.model = true;
    } else {
      return Fail(Errc::kInvalid, "bad_query", "by must be base, tenant, model, parted by commas");
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return by;
}

// The columns that name a group, in the order of both forms.
std::vector<std::pair<const char*, std::string>> NamesOf(const SavingsBy& by,
                                                         const SavingsRow& row) {
  std::vector<std::pair<const char*, std::string>> names;
  if (by.base) names.emplace_back("base", row.base);
  if (by.tenant) names.emplace_back("tenant", row.tenant);
  if (by.model) names.emplace_back("model", row.model);
  return names;
}

json RatioOrNull(double ratio) { return ratio == 0 ? json(nullptr) : json(ratio); }

json RowResource(const SavingsRow& row) {
  return {{"versions", row.versions},
          {"uploaded", row.upload_bytes},
          {"stored",
           {{"delta", row.delta_bytes},
            {"exact", row.exact_bytes},
            {"base_share", row.base_share},
            {"metadata", row.metadata_bytes},
            {"total", row.stored_bytes()}}},
          {"saved", row.saved_bytes()},
          {"ratio", RatioOrNull(row.ratio())},
          {"delta_ratio", RatioOrNull(row.delta_ratio())},
          {"mean_fidelity", row.mean_fidelity() ? json(*row.mean_fidelity()) : json(nullptr)}};
}

std::string SavingsJson(const SavingsBy& by, const SavingsReport& report) {
  json groups = json::array();
  for (const SavingsRow& row : report.groups) {
    json group = RowResource(row);
    for (const auto& [name, value] : NamesOf(by, row)) group[name] = value;
    groups.push_back(std::move(group));
  }
  json names = json::array();
  for (const auto& [name, value] : NamesOf(by, report.totals)) names.push_back(name);
  return json({{"by", std::move(names)},
               {"groups", std::move(groups)},
               {"totals", RowResource(report.totals)}})
      .dump();
}

// RFC 4180. Nothing needs quoting: names hold no commas, quotes or line ends.
std::string SavingsCsv(const SavingsBy& by, const SavingsReport& report) {
  std::string csv;
  for (const auto& [name, value] : NamesOf(by, report.totals)) csv += std::string(name) + ",";
  csv += "versions,uploaded,delta,exact,base_share,metadata,stored,saved,ratio,delta_ratio\r\n";
  for (const SavingsRow& row : report.groups) {
    for (const auto& [name, value] : NamesOf(by, row)) csv += value + ",";
    csv += fmt::format("{},{},{},{},{},{},{},{},{:.4f},{:.4f}\r\n", row.versions, row.upload_bytes,
                       row.delta_bytes, row.exact_bytes, row.base_share, row.metadata_bytes,
                       row.stored_bytes(), row.saved_bytes(), row.ratio(), row.delta_ratio());
  }
  return csv;
}

Result<bool> WantsCsv(const http::Request& request) {
  const auto format = request.Query("format");
  if (!format) return request.Header("accept").starts_with("text/csv");
  if (*format != "json" && *format != "csv") {
    return Fail(Errc::kInvalid, "bad_query", "format must be json or csv");
  }
  return *format == "csv";
}

Result<http::Response> GetSavings(App& app, const http::Request& request, const http::Params&) {
  SIGNUM_TRY(RequireAudit(request));
  SIGNUM_ASSIGN(const SavingsBy by, ParseBy(request));
  SIGNUM_ASSIGN(const bool csv, WantsCsv(request));
  SIGNUM_ASSIGN(const SavingsReport report, AuditSavings(app.engine, app.objects, app.catalog, by));
  http::Response response;
  response.Set("Content-Type",
               csv ? "text/csv; charset=utf-8; header=present" : "application/json");
  response.Set("Cache-Control", "no-store");
  if (csv) response.Set("Content-Disposition", "attachment; filename=\"signum-savings.csv\"");
  response.body = csv ? SavingsCsv(by, report) : SavingsJson(by, report);
  return response;
}

// ---- who changed what

json EntryResource(const LogEntry& entry) {
  return {{"seq", entry.seq},          {"at", FormatTime(entry.at)},     {"who", entry.who},
          {"action", entry.action},    {"target", entry.target},         {"from", entry.from},
          {"result", entry.result},    {"request_id", entry.request_id}, {"hash", entry.hash},
          {"previous", entry.previous}};
}

Result<http::Response> ReadLog(App& app, const http::Request& request, const http::Params&) {
  SIGNUM_TRY(RequireAudit(request));
  SIGNUM_ASSIGN(const Page page, NumberedPageOf(request));
  SIGNUM_ASSIGN(const auto entries, app.accounts.ReadLog(page.AfterNumber(), page.limit));
  json items = json::array();
  for (const LogEntry& entry : entries) items.push_back(EntryResource(entry));
  const std::string last = entries.empty() ? "" : std::to_string(entries.back().seq);
  return ListResponse("entries", std::move(items), page, last);
}

}  // namespace

void AddAuditRoutes(http::Router& router, App& app) {
  router.Add({.method = "GET", .pattern = "/v1/audit/savings", .handler = Ask(app, GetSavings)});
  router.Add({.method = "GET", .pattern = "/v1/audit/log", .handler = Ask(app, ReadLog)});
}

}  // namespace signum
