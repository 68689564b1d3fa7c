#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/catalog.h"

// Keys and encodings of the catalog's records (DESIGN.md, "The key space"). Numbers in keys have a
// fixed width, so that they sort.

namespace signum {

// What orders the changes of one model: whoever changes a version's place in it or an alias reads
// and writes this record in the same batch, so that two such changes cannot both commit.
struct ModelRecord {
  uint64_t next_version = 1;
  uint64_t changes = 0;
};

// Of one tenant's part of the feed.
struct FeedMeta {
  uint64_t last = 0;   // seq of the newest entry
  uint64_t floor = 0;  // entries up to this seq may be gone
  uint64_t count = 0;  // entries kept
};

std::string BaseKey(std::string_view base);
std::string TenantKey(std::string_view tenant);
std::string ModelKey(std::string_view tenant, std::string_view model);
std::string VersionKey(std::string_view tenant, std::string_view model, uint64_t version);
std::string AliasKey(std::string_view tenant, std::string_view model, std::string_view alias);
std::string JobKey(std::string_view tenant, std::string_view id);
std::string JobIndexKey(std::string_view id);  // every job
std::string OpenJobKey(std::string_view id);   // those not finished
std::string FeedKey(std::string_view tenant, uint64_t seq);
std::string FeedMetaKey(std::string_view tenant);

// The end of the range of keys that begin with `prefix`, whose last character is '/'.
std::string RangeEnd(std::string_view prefix);
// The last part of a key.
std::string_view LastPart(std::string_view key);

template <class R>
std::string Encode(const R& record);
template <class R>
Result<R> Decode(std::string_view bytes, std::string_view key);

extern template std::string Encode(const BaseRecord&);
extern template std::string Encode(const VersionRecord&);
extern template std::string Encode(const AliasRecord&);
extern template std::string Encode(const JobRecord&);
extern template std::string Encode(const FeedEntry&);
extern template std::string Encode(const ModelRecord&);
extern template std::string Encode(const FeedMeta&);
extern template Result<BaseRecord> Decode(std::string_view, std::string_view);
extern template Result<VersionRecord> Decode(std::string_view, std::string_view);
extern template Result<AliasRecord> Decode(std::string_view, std::string_view);
extern template Result<JobRecord> Decode(std::string_view, std::string_view);
extern template Result<FeedEntry> Decode(std::string_view, std::string_view);
extern template Result<ModelRecord> Decode(std::string_view, std::string_view);
extern template Result<FeedMeta> Decode(std::string_view, std::string_view);

}  // namespace signum
