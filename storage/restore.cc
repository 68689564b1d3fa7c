#include "storage/restore.h"

#include <cerrno>
#include <cstdio>
#include <utility>

#include "storage/key_ring.h"
#include "storage/upload_records.h"

namespace signum {

namespace {

namespace fs = std::filesystem;

Result<void> CheckEmpty(const fs::path& data) {
  std::error_code error;
  if (!fs::exists(data, error) || (fs::is_directory(data, error) && fs::is_empty(data, error))) {
    return error ? FromErrno(error.value(), data.string()) : Result<void>();
  }
  return Fail(Errc::kConflict, "data_not_empty",
              data.string() + " is not empty: a backup is restored into a new data directory");
}

// Staged bytes are not part of a backup, so what is known of them is void: their owners get 404 and
// begin again.
Result<uint64_t> ForgetUploads(Engine& engine) {
  std::string end(kUploadPrefix);
  ++end.back();
  SIGNUM_ASSIGN(const auto records, engine.Scan(kUploadPrefix, end, SIZE_MAX));
  Batch batch;
  uint64_t uploads = 0;
  for (const KeyValue& record : records) {
    if (record.key.find('/', kUploadPrefix.size()) == record.key.npos) ++uploads;
    batch.Delete(record.key);
  }
  if (!records.empty()) SIGNUM_TRY(engine.Commit(batch));
  return uploads;
}

std::string FirstFault(const ScrubReport& report) {
  if (!report.damaged.empty()) {
    return report.damaged.front().digest.Text() + " " + report.damaged.front().why;
  }
  return report.damaged_files.empty() ? report.problems.front() : report.damaged_files.front();
}

// Opens the store of a data directory that nobody serves, and proves it.
Result<void> Prove(const fs::path& data, const ScrubProgress& progress, RestoreReport& report) {
  SIGNUM_ASSIGN(const auto engine, OpenRocksEngine((data / "store").string()));
  SIGNUM_ASSIGN(report.uploads, ForgetUploads(*engine));
  const SystemClock clock;
  ObjectStore objects(*engine);
  const Catalog catalog(*engine, clock);
  const Accounts accounts(*engine, clock);
  SIGNUM_ASSIGN(const auto ring, KeyRing::Open(*engine, clock, data / "signing.key"));
  SIGNUM_ASSIGN(auto keys, ring->PublicKeys());
  const ScrubContext context{*engine, objects, catalog, accounts, std::move(keys)};
  SIGNUM_ASSIGN(report.checked, ScrubStore(context, {}, progress));
  if (report.checked.clean()) return {};
  return Fail(Errc::kCorrupt, "backup_damaged",
              "the backup does not hold what it should: " + FirstFault(report.checked));
}

}  // namespace

Result<RestoreReport> RestoreBackup(const fs::path& backups, std::optional<uint64_t> id,
                                    const fs::path& data, const ScrubProgress& progress) {
  SIGNUM_TRY(CheckEmpty(data));
  RestoreReport report;
  SIGNUM_ASSIGN(report.backup, FindBackup(backups, id));
  fs::path target = fs::absolute(data).lexically_normal();
  if (!target.has_filename()) target = target.parent_path();
  fs::path unproved = target;
  unproved += ".restoring";
  std::error_code error;
  fs::remove_all(unproved, error);  // of a restore that was cut short
  if (error) return FromErrno(error.value(), "remove " + unproved.string());
  SIGNUM_TRY(UnpackBackup(backups, report.backup, unproved, false,
                          [&](double done) { return !progress || progress("copy", done); }));
  fs::permissions(unproved, fs::perms::owner_all, error);
  if (error) return FromErrno(error.value(), unproved.string());
  SIGNUM_TRY(Prove(unproved, progress, report));
  if (::rename(unproved.c_str(), target.c_str()) != 0) return FromErrno(errno, target.string());
  SIGNUM_TRY(SyncDirectory(target.parent_path()));
  return report;
}

}  // namespace signum
