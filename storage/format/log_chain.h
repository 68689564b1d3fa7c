#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "storage/base/clock.h"
#include "storage/base/result.h"

namespace signum {

// One line of the audit log. Hash-chained: `hash` = SHA-256 of the canonical JSON of the other
// fields, `previous` included, with `at` as a number of microseconds.
struct LogEntry {
  uint64_t seq = 0;
  UnixMicros at = 0;
  std::string who, action, target, from, result, request_id;
  std::string previous, hash;

  std::string Hash() const;  // what `hash` must be
};

// Checks entries one after another. Errc::kCorrupt "log_broken" names the first that does not fit.
class LogChain {
 public:
  // Of the whole log, which begins with entry 1.
  static LogChain Whole() { return LogChain(true); }
  // Of a part: what comes before the first entry is not known, and taken from it.
  static LogChain Part() { return LogChain(false); }

  Result<void> Add(const LogEntry& entry);
  // The newest entry; 0 and "" before the first.
  uint64_t seq() const { return seq_; }
  const std::string& hash() const { return hash_; }

 private:
  explicit LogChain(bool begun) : begun_(begun) {}
  bool begun_;  // what must come before is known
  uint64_t seq_ = 0;
  std::string hash_;
};

// Entries as the interface lists them: {"entries": [{"seq", "at": RFC 3339, …}]}. Errc::kCorrupt
// "bad_log" where it is no such document, "log_broken" for an entry that lacks a field.
Result<std::vector<LogEntry>> ParseLogExport(std::string_view json);

}  // namespace signum
