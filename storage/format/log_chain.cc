#include "storage/format/log_chain.h"

#include <nlohmann/json.hpp>

#include "storage/base/digest.h"
#include "storage/format/canonical_json.h"

namespace signum {

namespace {

using nlohmann::json;

Error Broken(uint64_t seq, std::string_view why) {
  return Fail(Errc::kCorrupt, "log_broken",
              "audit log entry " + std::to_string(seq) + " " + std::string(why));
}

Result<LogEntry> ParseEntry(const json& item, uint64_t expected) {
  if (!item.is_object()) return Broken(expected, "is no entry");
  LogEntry entry;
  const auto seq = item.find("seq");
  if (seq == item.end() || !seq->is_number_unsigned()) return Broken(expected, "has no number");
  entry.seq = seq->get<uint64_t>();
  std::string at;
  const std::pair<const char*, std::string*> texts[] = {
      {"at", &at},           {"who", &entry.who},           {"action", &entry.action},
      {"from", &entry.from}, {"target", &entry.target},     {"result", &entry.result},
      {"hash", &entry.hash}, {"previous", &entry.previous}, {"request_id", &entry.request_id}};
  for (const auto& [name, text] : texts) {
    const auto field = item.find(name);
    if (field == item.end() || !field->is_string()) {
      return Broken(entry.seq, "lacks '" + std::string(name) + "'");
    }
    *text = field->get<std::string>();
  }
  const auto time = ParseTime(at);
  if (!time) return Broken(entry.seq, "has a time that is none");
  entry.at = *time;
  return entry;
}

}  // namespace

std::string LogEntry::Hash() const {
  const json fields = {
      {"seq", seq},          {"at", at},     {"who", who},       {"action", action},
      {"target", target},    {"from", from}, {"result", result}, {"request_id", request_id},
      {"previous", previous}};
  return Sha256::Of(AsBytes(CanonicalJson(fields))).Hex();
}

Result<void> LogChain::Add(const LogEntry& entry) {
  if (begun_ && entry.seq != seq_ + 1) return Broken(seq_ + 1, "is missing");
  if (begun_ && entry.previous != hash_) return Broken(entry.seq, "does not follow the one before");
  if (entry.hash != entry.Hash()) return Broken(entry.seq, "was changed");
  begun_ = true;
  seq_ = entry.seq;
  hash_ = entry.hash;
  return {};
}

Result<std::vector<LogEntry>> ParseLogExport(std::string_view text) {
  const json parsed = json::parse(text, nullptr, false);  // not ParseJson: a log has no limit
  const auto list = parsed.is_object() ? parsed.find("entries") : parsed.end();
  if (list == parsed.end() || !list->is_array()) {
    return Fail(Errc::kCorrupt, "bad_log", "this is no exported log: it has no list 'entries'");
  }
  std::vector<LogEntry> entries;
  for (const json& item : *list) {
    SIGNUM_ASSIGN(LogEntry entry, ParseEntry(item, entries.empty() ? 1 : entries.back().seq + 1));
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace signum
