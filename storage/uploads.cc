#include "storage/uploads.h"

#include <openssl/rand.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "storage/staged_writer.h"
#include "storage/transaction.h"
#include "storage/usage.h"

namespace signum {

namespace fs = std::filesystem;

bool Upload::Complete() const {
  return std::all_of(files.begin(), files.end(),
                     [](const UploadFile& file) { return file.digest.has_value(); });
}

namespace {

// How much longer a pinned upload stays: a pin whose version never came to be (a crash between the
// two) must end some day, and no job waits that long.
constexpr int64_t kPinMicros = 90ll * 24 * 3600 * 1'000'000;

Error UnknownUpload(std::string_view id) {
  return Fail(Errc::kNotFound, "unknown_upload",
              "no upload '" + std::string(id.substr(0, 64)) + "'");
}

// Ids become keys and folder names: whatever is not shaped like ours is unknown.
bool IsId(std::string_view id) {
  return id.size() == 32 && id.find_first_not_of("0123456789abcdef") == id.npos;
}

Result<std::string> NewId() {
  std::string random(16, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(random.data()), 16) != 1) {
    return Fail(Errc::kInternal, "no_randomness", "the system gives no random bytes");
  }
  return HexEncode(AsBytes(random));
}

Digest EmptyDigest() { return Sha256::Of({}); }

}  // namespace

Error DigestMismatch(const UploadFile& file, const Digest& actual) {
  return Fail(Errc::kUnusable, "digest_mismatch",
              "'" + file.path + "' has digest " + actual.Text() + ", not " + file.expected->Text() +
                  " as declared");
}

Result<Upload> StagedUploads::Create(std::string_view owner, std::string_view tenant,
                                     std::vector<UploadFile> files) {
  SIGNUM_TRY(CheckUploadFiles(files, limits_));
  UploadRecord record;
  SIGNUM_ASSIGN(record.upload.id, NewId());
  record.upload.owner = owner;
  record.upload.tenant = tenant;
  record.upload.created = clock_.Now();
  record.upload.expires = record.upload.created + limits_.expire_after_micros;
  record.upload.files = std::move(files);
  std::vector<std::pair<std::string, std::string>> complete;  // records of empty files
  uint64_t total = 0;
  for (size_t i = 0; i < record.upload.files.size(); ++i) {
    UploadFile& file = record.upload.files[i];
    file.offset = 0;
    file.digest.reset();
    total += file.size;
    if (file.size != 0) continue;
    file.digest = EmptyDigest();  // complete as it is
    if (file.expected && *file.expected != *file.digest) return DigestMismatch(file, *file.digest);
    complete.emplace_back(UploadFileKey(record.upload.id, i), EncodeProgress({0, file.digest}));
  }
  SIGNUM_TRY(CheckSpace(total));
  SIGNUM_TRY(Transact<void>(engine_, [&](Transaction& transaction) -> Result<void> {
    for (const auto& [key, value] : complete) transaction.Put(key, value);
    transaction.Put(UploadKey(record.upload.id), EncodeUpload(record));
    return CountChange(transaction, UploadUsageKey(tenant), {}, UsageOf(record.upload));
  }));
  return std::move(record.upload);
}

// One scan reads the upload and the progress of its files at one point in time.
Result<UploadRecord> StagedUploads::Load(std::string_view id) const {
  if (!IsId(id)) return UnknownUpload(id);
  const std::string key = UploadKey(id);
  SIGNUM_ASSIGN(const auto found, engine_.Scan(key, UploadEnd(id), limits_.max_files + 1));
  if (found.empty() || found.front().key != key) return UnknownUpload(id);
  SIGNUM_ASSIGN(UploadRecord record, DecodeUpload(found.front().value, key));
  for (size_t i = 1; i < found.size(); ++i) {
    const std::string& file_key = found[i].key;
    const size_t file = std::stoull(file_key.substr(file_key.rfind('/') + 1));
    SIGNUM_ASSIGN(const UploadProgress progress, DecodeProgress(found[i].value, file_key));
    record.upload.files.at(file).offset = progress.offset;
    record.upload.files.at(file).digest = progress.digest;
  }
  return record;
}

bool StagedUploads::Expired(const UploadRecord& record) const {
  const int64_t grace = record.upload.pinned ? kPinMicros : 0;
  return record.upload.expires + grace <= clock_.Now();
}

Result<Upload> StagedUploads::Get(std::string_view id) const {
  SIGNUM_ASSIGN(UploadRecord record, Load(id));
  if (Expired(record)) return UnknownUpload(id);
  return std::move(record.upload);
}

Result<std::unique_ptr<UploadWriter>> StagedUploads::OpenWriter(std::string_view id, size_t file,
                                                                uint64_t offset) {
  const FileId file_id(id, file);
  SIGNUM_ASSIGN(std::optional<Sha256> hash, Reserve(file_id));
  std::unique_ptr<StagedWriter> writer;  // releases it however this ends
  auto upload = Get(id);
  if (upload.has_error() || file >= upload->files.size()) {
    Release(file_id, std::nullopt);
    return upload.has_error() ? upload.error() : UnknownUpload(id);
  }
  const UploadFile& declared = upload->files[file];
  writer = std::make_unique<StagedWriter>(*this, file_id, declared);
  if (declared.offset != offset) {
    return Fail(Errc::kConflict, "wrong_offset",
                "'" + declared.path + "' is at offset " + std::to_string(declared.offset) +
                    ", not " + std::to_string(offset));
  }
  SIGNUM_TRY(MakeFolder(id));
  SIGNUM_TRY(writer->Open(PathOf(file_id), std::move(hash)));
  SIGNUM_TRY(SyncDirectory(FolderOf(id)));
  return std::unique_ptr<UploadWriter>(std::move(writer));
}

Result<std::optional<Sha256>> StagedUploads::Reserve(const FileId& id) {
  std::lock_guard lock(mutex_);
  if (!writing_.insert(id).second) {
    return Fail(Errc::kConflict, "upload_busy",
                "another request is writing file " + std::to_string(id.second));
  }
  std::optional<Sha256> hash;
  if (auto known = hashes_.extract(id)) hash = std::move(known.mapped());
  return hash;
}

void StagedUploads::Release(const FileId& id, std::optional<Sha256> hash) {
  std::lock_guard lock(mutex_);
  writing_.erase(id);
  if (hash) hashes_.insert_or_assign(id, *std::move(hash));
}

Result<void> StagedUploads::Restart(std::string_view id, size_t file) {
  SIGNUM_ASSIGN(const Upload upload, Get(id));
  if (file >= upload.files.size()) return UnknownUpload(id);
  const FileId file_id(id, file);
  SIGNUM_TRY(Reserve(file_id));  // the hash of what was there goes with it
  auto restarted = [&]() -> Result<void> {
    SIGNUM_ASSIGN(const Upload now, Get(id));
    if (!now.files[file].digest) return Record(file_id, {});
    return Fail(Errc::kConflict, "file_complete",
                "'" + now.files[file].path + "' is complete already");
  }();
  Release(file_id, std::nullopt);
  return restarted;
}

// Depends on the upload's own record, which Remove deletes, and extends its life where half is
// over.
Result<void> StagedUploads::Record(const FileId& id, const UploadProgress& progress) {
  return Transact<void>(engine_, [&](Transaction& transaction) -> Result<void> {
    const std::string key = UploadKey(id.first);
    SIGNUM_ASSIGN(const auto stored, transaction.Get(key));
    if (!stored) return UnknownUpload(id.first);
    SIGNUM_ASSIGN(UploadRecord record, DecodeUpload(*stored, key));
    const UnixMicros now = clock_.Now();
    if (record.upload.expires - now < limits_.expire_after_micros / 2) {
      record.upload.expires = now + limits_.expire_after_micros;
      transaction.Put(key, EncodeUpload(record));
    }
    transaction.Put(UploadFileKey(id.first, id.second), EncodeProgress(progress));
    return {};
  });
}

Result<DiskSpace> StagedUploads::Space() const {
  struct statvfs disk {};
  if (::statvfs(directory_.c_str(), &disk) != 0) return FromErrno(errno, "statvfs");
  // Some file systems (FUSE without statfs, a few networked ones) tell of no blocks at all: what
  // they have is found out by writing.
  const uint64_t free =
      disk.f_blocks == 0 ? UINT64_MAX : static_cast<uint64_t>(disk.f_bavail) * disk.f_frsize;
  return DiskSpace{free, limits_.keep_free_bytes};
}

Result<void> StagedUploads::CheckSpace(uint64_t bytes) const {
  SIGNUM_ASSIGN(const DiskSpace space, Space());
  if (space.free >= space.kept && space.free - space.kept >= bytes) return {};
  return Fail(Errc::kExhausted, "disk_full",
              std::to_string(bytes) + " bytes do not fit: " + std::to_string(space.free) +
                  " are free, of which " + std::to_string(space.kept) + " are kept free");
}

Result<void> StagedUploads::MakeFolder(std::string_view id) const {
  std::error_code error;
  if (!fs::create_directory(FolderOf(id), error)) {
    return error ? FromErrno(error.value(), "create " + FolderOf(id).string()) : Result<void>();
  }
  return SyncDirectory(directory_);
}

Result<std::vector<CheckpointFile>> StagedUploads::OpenFiles(std::string_view id) const {
  SIGNUM_ASSIGN(const Upload upload, Get(id));
  std::vector<CheckpointFile> files;
  for (size_t i = 0; i < upload.files.size(); ++i) {
    const UploadFile& file = upload.files[i];
    if (!file.digest) {
      return Fail(Errc::kConflict, "upload_incomplete",
                  "'" + file.path + "' has " + std::to_string(file.offset) + " of " +
                      std::to_string(file.size) + " bytes");
    }
    std::shared_ptr<const ByteSource> bytes = std::make_shared<MemorySource>("");
    if (file.size > 0) {
      SIGNUM_ASSIGN(bytes, MappedFile::Open(PathOf({upload.id, i})));
    }
    files.push_back({file.path, std::move(bytes)});
  }
  return files;
}

Result<void> StagedUploads::Pin(std::string_view id) {
  SIGNUM_ASSIGN(const Upload upload, Get(id));
  if (!upload.Complete()) {
    return Fail(Errc::kConflict, "upload_incomplete", "upload '" + upload.id + "' is not complete");
  }
  return ChangeRecord(id, [](Upload& stored) -> Result<void> {
    if (stored.pinned) {
      return Fail(Errc::kConflict, "upload_in_use",
                  "a version is being made from upload '" + stored.id + "' already");
    }
    stored.pinned = true;
    return {};
  });
}

Result<void> StagedUploads::Unpin(std::string_view id) {
  return ChangeRecord(id, [this](Upload& stored) -> Result<void> {
    stored.pinned = false;
    stored.expires = clock_.Now() + limits_.expire_after_micros;
    return {};
  });
}

Result<void> StagedUploads::ChangeRecord(std::string_view id,
                                         const std::function<Result<void>(Upload&)>& change) {
  return Transact<void>(engine_, [&](Transaction& transaction) -> Result<void> {
    const std::string key = UploadKey(id);
    SIGNUM_ASSIGN(const auto stored, transaction.Get(key));
    if (!stored) return UnknownUpload(id);
    SIGNUM_ASSIGN(UploadRecord record, DecodeUpload(*stored, key));
    const TenantUsage before = UsageOf(record.upload);
    SIGNUM_TRY(change(record.upload));
    transaction.Put(key, EncodeUpload(record));
    return CountChange(transaction, UploadUsageKey(record.upload.tenant), before,
                       UsageOf(record.upload));
  });
}

// The records go first; files of an upload that has none are removed by the next sweep, whatever
// happens here.
Result<void> StagedUploads::Remove(std::string_view id) {
  if (!IsId(id)) return UnknownUpload(id);
  SIGNUM_TRY(Transact<void>(engine_, [&](Transaction& transaction) -> Result<void> {
    const std::string key = UploadKey(id);
    SIGNUM_ASSIGN(const auto stored, transaction.Get(key));
    if (!stored) return UnknownUpload(id);
    SIGNUM_ASSIGN(const UploadRecord record, DecodeUpload(*stored, key));
    transaction.Delete(key);
    // All that can be, not all that a scan finds: a writer may be just writing a file's first.
    for (size_t file = 0; file < record.upload.files.size(); ++file) {
      transaction.Delete(UploadFileKey(id, file));
    }
    return CountChange(transaction, UploadUsageKey(record.upload.tenant), UsageOf(record.upload),
                       {});
  }));
  {
    std::lock_guard lock(mutex_);
    const FileId first(id, 0);
    const FileId last(id, SIZE_MAX);
    hashes_.erase(hashes_.lower_bound(first), hashes_.upper_bound(last));
  }
  return RemoveFolder(id);
}

Result<void> StagedUploads::RemoveFolder(std::string_view id) const {
  std::error_code error;
  fs::remove_all(FolderOf(id), error);
  if (error) return FromErrno(error.value(), "remove " + FolderOf(id).string());
  return {};
}

bool StagedUploads::Busy(std::string_view id) const {
  std::lock_guard lock(mutex_);
  const auto it = writing_.lower_bound(FileId(id, 0));
  return it != writing_.end() && it->first == id;
}

Result<std::unique_ptr<Uploads>> Uploads::Open(Engine& engine, const Clock& clock,
                                               const fs::path& directory,
                                               const UploadLimits& limits) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) return FromErrno(error.value(), "create " + directory.string());
  return std::unique_ptr<Uploads>(
      std::make_unique<StagedUploads>(engine, clock, directory, limits));
}

}  // namespace signum
