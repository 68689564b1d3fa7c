#include "storage/feed.h"

#include <algorithm>

#include "storage/catalog_records.h"

namespace signum {

namespace {

constexpr size_t kTenantsAtOnce = 1000;

Result<FeedMeta> ReadMeta(const Engine& engine, std::string_view tenant) {
  const std::string key = FeedMetaKey(tenant);
  SIGNUM_ASSIGN(const auto value, engine.Get(key));
  if (!value) return FeedMeta();
  return Decode<FeedMeta>(*value, key);
}

Error FeedGone(uint64_t since) {
  return Fail(Errc::kNotFound, "feed_gone",
              "the feed no longer has, or never had, entry " + std::to_string(since));
}

}  // namespace

// A number whose commit failed is not used again either: the entry may yet be found after a crash.
Feed::Hold::~Hold() {
  if (used_ > feed_.last_) feed_.last_ = used_;
}

Result<void> Feed::Hold::Append(Transaction& transaction, FeedEntry entry) {
  SIGNUM_TRY(feed_.Load());
  const std::string meta_key = FeedMetaKey(entry.tenant);
  SIGNUM_ASSIGN(const auto stored, transaction.Get(meta_key));
  FeedMeta meta;
  if (stored) {
    SIGNUM_ASSIGN(meta, Decode<FeedMeta>(*stored, meta_key));
  }
  used_ = feed_.last_ + 1;
  entry.seq = meta.last = used_;
  ++meta.count;
  if (meta.count > feed_.keep_) {
    SIGNUM_ASSIGN(const auto oldest,
                  feed_.engine_.Scan(FeedKey(entry.tenant, meta.floor),
                                     FeedKey(entry.tenant, used_), meta.count - feed_.keep_));
    for (const KeyValue& old : oldest) {
      SIGNUM_ASSIGN(const FeedEntry removed, Decode<FeedEntry>(old.value, old.key));
      meta.floor = removed.seq;
      transaction.Delete(old.key);
    }
    meta.count -= oldest.size();
  }
  transaction.Put(meta_key, Encode(meta));
  transaction.Put(FeedKey(entry.tenant, entry.seq), Encode(entry));
  return {};
}

// The newest number is found again from what the tenants hold.
Result<void> Feed::Load() const {
  if (loaded_) return {};
  std::lock_guard lock(load_mutex_);
  if (loaded_) return {};
  uint64_t last = 0;
  std::string begin = TenantKey("");
  const std::string end = RangeEnd(begin);
  for (;;) {
    SIGNUM_ASSIGN(const auto tenants, engine_.Scan(begin, end, kTenantsAtOnce));
    for (const KeyValue& tenant : tenants) {
      SIGNUM_ASSIGN(const FeedMeta meta, ReadMeta(engine_, LastPart(tenant.key)));
      last = std::max(last, meta.last);
    }
    if (tenants.size() < kTenantsAtOnce) break;
    begin = tenants.back().key + '\0';
  }
  last_ = last;
  loaded_ = true;
  return {};
}

Result<uint64_t> Feed::Seq() const {
  SIGNUM_TRY(Load());
  return last_.load();
}

// Entries after the number read first are left for the next time: one with a smaller number might
// still be missing from a tenant that was scanned before it.
Result<std::vector<FeedEntry>> Feed::Read(const std::vector<std::string>& tenants, uint64_t since,
                                          size_t limit) const {
  SIGNUM_ASSIGN(const uint64_t last, Seq());
  if (since > last) return FeedGone(since);
  std::vector<FeedEntry> entries;
  if (since == last) return entries;
  for (const std::string& tenant : tenants) {
    SIGNUM_TRY(ReadTenant(tenant, since, last, limit, entries));
  }
  std::sort(entries.begin(), entries.end(),
            [](const FeedEntry& a, const FeedEntry& b) { return a.seq < b.seq; });
  const auto same = [](const FeedEntry& a, const FeedEntry& b) { return a.seq == b.seq; };
  entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
  if (entries.size() > limit) entries.resize(limit);
  return entries;
}

Result<void> Feed::ReadTenant(std::string_view tenant, uint64_t since, uint64_t last, size_t limit,
                              std::vector<FeedEntry>& out) const {
  SIGNUM_ASSIGN(const auto found,
                engine_.Scan(FeedKey(tenant, since + 1), FeedKey(tenant, last + 1), limit));
  // Read after the entries: what was removed before they were read is told by the floor.
  SIGNUM_ASSIGN(const FeedMeta meta, ReadMeta(engine_, tenant));
  if (since < meta.floor) return FeedGone(since);
  for (const KeyValue& entry : found) {
    SIGNUM_ASSIGN(FeedEntry decoded, Decode<FeedEntry>(entry.value, entry.key));
    out.push_back(std::move(decoded));
  }
  return {};
}

}  // namespace signum
