// The hash-chained audit log of Accounts.

#include <cstdio>

#include "storage/accounts.h"
#include "storage/record.h"
#include "storage/transaction.h"

namespace signum {

template <class F, class R>
requires RecordOf<R, LogEntry>
void Fields(F& f, R& r) {
  f("seq", r.seq);
  f("at", r.at);
  f("who", r.who);
  f("action", r.action);
  f("target", r.target);
  f("from", r.from);
  f("result", r.result);
  f("request_id", r.request_id);
  f("previous", r.previous);
  f("hash", r.hash);
}

namespace {

constexpr std::string_view kEntryPrefix = "g/log/entry/";
constexpr std::string_view kHeadKey = "g/log/head";
constexpr size_t kPage = 1000;

// The newest entry.
struct LogHead {
  uint64_t seq = 0;
  std::string hash;
};

template <class F, class R>
requires RecordOf<R, LogHead>
void Fields(F& f, R& r) {
  f("seq", r.seq);
  f("hash", r.hash);
}

std::string EntryKey(uint64_t seq) {
  char key[48];
  std::snprintf(key, sizeof key, "g/log/entry/%020llu", static_cast<unsigned long long>(seq));
  return key;
}

std::string EntryEnd() {
  std::string end(kEntryPrefix);
  ++end.back();
  return end;
}

Result<LogHead> ReadHead(const Engine& engine) {
  SIGNUM_ASSIGN(const auto stored, engine.Get(kHeadKey));
  return stored ? DecodeRecord<LogHead>(*stored, kHeadKey) : LogHead();
}

// Canonical JSON and the stored record must agree on every byte, so what is no UTF-8 goes first.
void ReplaceInvalid(std::string& text) {
  const auto replace = nlohmann::json::error_handler_t::replace;
  const std::string json = nlohmann::json(text).dump(-1, ' ', false, replace);
  text = nlohmann::json::parse(json).get<std::string>();
}

}  // namespace

Result<void> Accounts::AppendLog(LogEntry entry) {
  for (std::string* text :
       {&entry.who, &entry.action, &entry.target, &entry.from, &entry.result, &entry.request_id}) {
    ReplaceInvalid(*text);
  }
  return Transact<void>(engine_, [&](Transaction& transaction) -> Result<void> {
    const std::string key(kHeadKey);
    SIGNUM_ASSIGN(const auto stored, transaction.Get(key));
    LogHead head;
    if (stored) {
      SIGNUM_ASSIGN(head, DecodeRecord<LogHead>(*stored, key));
    }
    entry.seq = head.seq + 1;
    entry.at = clock_.Now();
    entry.previous = head.hash;
    entry.hash = entry.Hash();
    transaction.Put(EntryKey(entry.seq), EncodeRecord(entry));
    transaction.Put(key, EncodeRecord(LogHead{entry.seq, entry.hash}));
    return {};
  });
}

Result<std::vector<LogEntry>> Accounts::ReadLog(uint64_t after, size_t limit) const {
  SIGNUM_ASSIGN(const auto found, engine_.Scan(EntryKey(after + 1), EntryEnd(), limit));
  std::vector<LogEntry> entries;
  for (const KeyValue& item : found) {
    SIGNUM_ASSIGN(LogEntry entry, DecodeRecord<LogEntry>(item.value, item.key));
    entries.push_back(std::move(entry));
  }
  return entries;
}

// The log may grow meanwhile. An entry and the head that names it are written at once: what a head
// has named must be there for whoever looks afterwards, and no entry is newer than a head read
// later.
Result<void> Accounts::VerifyLog() const {
  LogChain chain = LogChain::Whole();
  for (uint64_t named = 0;;) {
    SIGNUM_ASSIGN(const auto page, ReadLog(chain.seq(), kPage));
    for (const LogEntry& entry : page) SIGNUM_TRY(chain.Add(entry));
    if (page.empty() && named > chain.seq()) break;
    if (page.size() == kPage) continue;
    SIGNUM_ASSIGN(const LogHead head, ReadHead(engine_));
    if (head.seq == chain.seq() && head.hash == chain.hash()) return {};
    if (head.seq <= chain.seq()) {
      return Fail(Errc::kCorrupt, "log_broken",
                  "audit log: its head names entry " + std::to_string(head.seq) + ", not " +
                      std::to_string(chain.seq()) + ", the newest");
    }
    named = head.seq;
  }
  return Fail(Errc::kCorrupt, "log_broken",
              "audit log entry " + std::to_string(chain.seq() + 1) + " is missing");
}

}  // namespace signum
