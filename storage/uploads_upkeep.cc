// The part of StagedUploads that looks at all uploads: lists, counts, the sweep.

#include <set>
#include <utility>

#include "storage/base/file.h"
#include "storage/staged_uploads.h"
#include "storage/usage.h"

namespace signum {

namespace fs = std::filesystem;

Result<std::vector<std::string>> StagedUploads::ListPinned() const {
  SIGNUM_ASSIGN(const auto pinned,
                List([](const UploadRecord& record) { return record.upload.pinned; }));
  std::vector<std::string> ids;
  for (const UploadRecord& record : pinned) ids.push_back(record.upload.id);
  return ids;
}

Result<std::vector<UploadRecord>> StagedUploads::List(const Wanted& wanted) const {
  std::vector<UploadRecord> found;
  std::string begin(kUploadPrefix);
  const std::string end(kUploadUsagePrefix);
  for (;;) {
    SIGNUM_ASSIGN(const auto next, engine_.Scan(begin, end, 1));
    if (next.empty()) return found;
    const std::string id = next.front().key.substr(kUploadPrefix.size());
    SIGNUM_ASSIGN(UploadRecord record, DecodeUpload(next.front().value, next.front().key));
    if (wanted(record)) found.push_back(std::move(record));
    begin = UploadEnd(id);
  }
}

Result<size_t> StagedUploads::Sweep() {
  size_t removed = 0;
  SIGNUM_ASSIGN(const auto expired,
                List([this](const UploadRecord& record) { return Expired(record); }));
  for (const UploadRecord& record : expired) {
    if (Busy(record.upload.id)) continue;
    const auto gone = Remove(record.upload.id);
    if (gone.has_error() && gone.error().code != Errc::kNotFound) return gone.error();
    if (gone.has_value()) ++removed;
  }
  SIGNUM_TRY(SweepFolders());
  return removed;
}

// A record is there before its folder is, so a folder without one belongs to nobody.
Result<void> StagedUploads::SweepFolders() const {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory_, error)) {
    const std::string id = entry.path().filename().string();
    SIGNUM_ASSIGN(const auto record, engine_.Get(UploadKey(id)));
    if (!record) SIGNUM_TRY(RemoveFolder(id));
  }
  if (error) return FromErrno(error.value(), "list " + directory_.string());
  return {};
}

Result<uint64_t> StagedUploads::StagedBytes(std::string_view tenant) const {
  SIGNUM_ASSIGN(const UsageCounter counter, ReadUsage(engine_, UploadUsageKey(tenant)));
  return counter.sum.bytes;
}

Result<std::vector<std::string>> StagedUploads::ListTenants() const {
  std::set<std::string> tenants;
  const std::string counters(kUploadUsagePrefix);
  SIGNUM_ASSIGN(const auto counted, engine_.Scan(counters, counters + '\x7f', SIZE_MAX));
  for (const KeyValue& item : counted) tenants.insert(item.key.substr(counters.size()));
  SIGNUM_TRY(List([&](const UploadRecord& record) {
    tenants.insert(record.upload.tenant);
    return false;
  }));
  return std::vector<std::string>(tenants.begin(), tenants.end());
}

Result<TenantUsage> StagedUploads::CountAnew(std::string_view tenant) const {
  SIGNUM_ASSIGN(const auto uploads,
                List([&](const UploadRecord& record) { return record.upload.tenant == tenant; }));
  TenantUsage usage;
  for (const UploadRecord& record : uploads) usage += UsageOf(record.upload);
  return usage;
}

Result<size_t> StagedUploads::Count() const {
  size_t count = 0;
  std::error_code error;
  for (fs::directory_iterator it(directory_, error), end; !error && it != end;
       it.increment(error)) {
    ++count;
  }
  if (error) return FromErrno(error.value(), "list " + directory_.string());
  return count;
}

}  // namespace signum
