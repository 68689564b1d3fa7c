#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "storage/catalog.h"
#include "storage/transaction.h"
#include "storage/uploads.h"

// What a tenant holds, counted beside the records: a counter lies in the partition of what it
// counts and changes in the same batch, so it is never off, whatever dies when. One counts a
// tenant's versions, one its staged uploads.

namespace signum {

// Bytes are logical, as they were uploaded and would be downloaded, whatever deduplication and
// encoding save: of an upload all that was declared; of a version its upload while its job is open
// or the exact tier keeps it, and its delta once that is sealed.
struct TenantUsage {
  uint64_t bytes = 0;
  uint64_t versions = 0;  // all there are, in whatever state
  uint64_t jobs = 0;      // queued and running

  TenantUsage& operator+=(const TenantUsage& more);
  friend bool operator==(const TenantUsage&, const TenantUsage&) = default;
};

// What one record counts. An upload that a version is being made from is that version's.
TenantUsage UsageOf(const VersionRecord& version);
TenantUsage UsageOf(const Upload& upload);

struct UsageCounter {
  TenantUsage sum;
  uint64_t changes = 0;  // so far: who counts anew knows that nothing changed meanwhile
};

std::string VersionUsageKey(std::string_view tenant);  // t/<tenant>/usage
std::string UploadUsageKey(std::string_view tenant);   // g/upload/~<tenant>

std::string EncodeUsage(const UsageCounter& counter);
Result<UsageCounter> DecodeUsage(std::string_view bytes, std::string_view key);
// Zero where nothing has been counted.
Result<UsageCounter> ReadUsage(const Engine& engine, const std::string& key);

// Replaces `before` by `after` in the counter, in the batch that changes the record. Equal ones
// change nothing, and then the batch does not depend on the counter.
Result<void> CountChange(Transaction& transaction, const std::string& key,
                         const TenantUsage& before, const TenantUsage& after);

}  // namespace signum
