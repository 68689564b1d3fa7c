#include "storage/rocks_blobs.h"

#include <rocksdb/convenience.h>
#include <rocksdb/db.h>
#include <rocksdb/metadata.h>
#include <rocksdb/sst_file_writer.h>

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "storage/engine_errors.h"

namespace signum {

namespace {

constexpr uint32_t kTrailerChunk = 0xffffffff;
constexpr uint32_t kTrailerVersion = 1;
constexpr size_t kKeyBytes = 12;
constexpr uint64_t kMaxBufferedBytes = 4 * kBlobChunkBytes;

using BlobKey = std::array<char, kKeyBytes>;

rocksdb::Slice ToSlice(const BlobKey& key) { return {key.data(), key.size()}; }
rocksdb::Slice ToSlice(ConstBytes bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Big-endian, so that keys sort as their numbers do.
BlobKey KeyOf(uint64_t number, uint32_t chunk) {
  BlobKey key;
  StoreLe(key.data(), __builtin_bswap64(number));
  StoreLe(key.data() + 8, __builtin_bswap32(chunk));
  return key;
}

std::string EncodeTrailer(uint64_t size) {
  std::string trailer(12, '\0');
  StoreLe(trailer.data(), kTrailerVersion);
  StoreLe(trailer.data() + 4, size);
  return trailer;
}

class RocksBlobWriter final : public BlobWriter {
 public:
  RocksBlobWriter(std::shared_ptr<RocksDatabase> database, uint64_t number)
      : database_(std::move(database)),
        number_(number),
        path_(database_->staging() / (std::to_string(number) + ".sst")),
        writer_(std::make_unique<rocksdb::SstFileWriter>(
            rocksdb::EnvOptions(), database_->blob_options(), /*column_family=*/nullptr,
            /*invalidate_page_cache=*/false)) {}

  ~RocksBlobWriter() override { Discard(); }

  Result<void> Open() { return Check(writer_->Open(path_.string())); }

  Result<void> Append(ConstBytes bytes) override {
    if (!writer_) return Fail(Errc::kInternal, "blob_closed", "append to a closed blob");
    size_ += bytes.size();
    while (!bytes.empty()) {
      if (pending_.empty() && bytes.size() >= kBlobChunkBytes) {
        SIGNUM_TRY(PutChunk(ToSlice(bytes.first(kBlobChunkBytes))));
        bytes = bytes.subspan(kBlobChunkBytes);
        continue;
      }
      const size_t take = std::min<size_t>(bytes.size(), kBlobChunkBytes - pending_.size());
      pending_.append(AsText(bytes.first(take)));
      bytes = bytes.subspan(take);
      if (pending_.size() == kBlobChunkBytes) SIGNUM_TRY(PutPending());
    }
    return {};
  }

  Result<uint64_t> Seal() override {
    if (!writer_) return Fail(Errc::kInternal, "blob_closed", "seal of a closed blob");
    if (!pending_.empty()) SIGNUM_TRY(PutPending());
    SIGNUM_TRY(Check(writer_->Put(ToSlice(KeyOf(number_, kTrailerChunk)), EncodeTrailer(size_))));
    rocksdb::ExternalSstFileInfo info;
    SIGNUM_TRY(Check(writer_->Finish(&info)));  // syncs
    const auto ingested = Ingest(info);
    if (ingested.has_error()) Settle();
    SIGNUM_TRY(ingested);
    writer_.reset();
    return number_;
  }

 private:
  Result<void> PutPending() {
    SIGNUM_TRY(PutChunk(pending_));
    pending_.clear();
    return {};
  }

  Result<void> PutChunk(const rocksdb::Slice& chunk) {
    SIGNUM_TRY(Check(writer_->Put(ToSlice(KeyOf(number_, next_chunk_++)), chunk)));
    return CheckGrowth();
  }

  // SstFileWriter tells of a failed write only at its end. The file tells at once: it must not lag
  // behind by more than what is buffered.
  Result<void> CheckGrowth() {
    std::error_code error;
    const uint64_t on_disk = std::filesystem::file_size(path_, error);
    if (!error && on_disk + kMaxBufferedBytes >= next_chunk_ * kBlobChunkBytes) return {};
    const rocksdb::Status failed = writer_->Finish();
    return Check(failed.ok() ? rocksdb::Status::IOError("file is shorter than written") : failed);
  }

  // Nothing below a blob's own numbers may lie there already: an overlap is a bug, and refused.
  Result<void> Ingest(const rocksdb::ExternalSstFileInfo& info) {
    SIGNUM_TRY(database_->Heal());
    SIGNUM_ASSIGN(const auto session, database_->Use());
    rocksdb::IngestExternalFileArg arg;
    arg.column_family = session.blobs();
    arg.external_files = {path_.string()};
    arg.files_checksums = {info.file_checksum};
    arg.files_checksum_func_names = {info.file_checksum_func_name};
    arg.options.move_files = true;
    arg.options.failed_move_fall_back_to_copy = false;
    arg.options.snapshot_consistency = false;
    arg.options.allow_global_seqno = false;
    arg.options.allow_blocking_flush = false;
    arg.options.write_global_seqno = false;
    arg.options.verify_file_checksum = false;  // computed as the file was written
    const std::shared_lock ingesting(database_->ingests());
    return database_->Note(session.db().IngestExternalFiles({arg}),
                           "ingest blob " + std::to_string(number_));
  }

  // After a failure nothing of the blob stays.
  Result<void> Check(const rocksdb::Status& status) {
    if (status.ok()) return {};
    Discard();
    return FromRocks(status, "write blob " + std::to_string(number_));
  }

  // Not removed before the database was opened once more: it may need the file (RestoreUnsettled).
  // Where it cannot be opened now, the next start removes it; but a full disk gets the room back: a
  // record for which there was none is not in the MANIFEST.
  void Settle() {
    writer_.reset();
    const std::filesystem::path kept = RocksDatabase::Unsettled(path_);
    std::error_code ignored;
    std::filesystem::rename(path_, kept, ignored);
    const auto healed = database_->Heal();
    if (healed.has_value() || healed.error().code == Errc::kExhausted) {
      std::filesystem::remove(kept, ignored);
    }
  }

  void Discard() {
    if (!writer_) return;
    writer_.reset();
    std::error_code ignored;  // what stays is removed at the next start
    std::filesystem::remove(path_, ignored);
  }

  std::shared_ptr<RocksDatabase> database_;
  uint64_t number_;
  std::filesystem::path path_;
  std::unique_ptr<rocksdb::SstFileWriter> writer_;  // none once sealed or failed
  std::string pending_;                             // bytes of the next chunk
  uint32_t next_chunk_ = 0;
  uint64_t size_ = 0;
};

class RocksBlobSource final : public ByteSource {
 public:
  RocksBlobSource(std::shared_ptr<RocksDatabase> database, uint64_t number, uint64_t size)
      : database_(std::move(database)), number_(number), size_(size) {}

  uint64_t size() const override { return size_; }

  Result<void> Read(uint64_t offset, MutableBytes out) const override {
    SIGNUM_TRY(CheckRange(offset, out.size(), size_));
    while (!out.empty()) {
      const uint64_t chunk = offset / kBlobChunkBytes;
      const uint64_t within = offset % kBlobChunkBytes;
      const size_t take = std::min<uint64_t>(out.size(), LengthOf(chunk) - within);
      // Only a chunk that is read in part is worth caching: its rest is likely to be asked for
      // next.
      rocksdb::PinnableSlice value;
      SIGNUM_TRY(Get(chunk, take < LengthOf(chunk), &value));
      std::memcpy(out.data(), value.data() + within, take);
      out = out.subspan(take);
      offset += take;
    }
    return {};
  }

  // Cached whole: what is sent to one is likely to be sent to the next.
  Result<HeldBytes> Hold(uint64_t offset, uint64_t most) const override {
    SIGNUM_TRY(CheckRange(offset, 1, size_));
    const auto chunk = std::make_shared<Chunk>();
    chunk->database = database_;
    SIGNUM_TRY(Get(offset / kBlobChunkBytes, true, &chunk->value));
    const ConstBytes rest = chunk->bytes().subspan(offset % kBlobChunkBytes);
    return HeldBytes{rest.first(std::min<uint64_t>(rest.size(), most)), chunk};
  }

 private:
  // A chunk in the block cache, or of its own where the cache has no room. The cache outlives it.
  struct Chunk {
    std::shared_ptr<RocksDatabase> database;
    rocksdb::PinnableSlice value;
    ConstBytes bytes() const { return AsBytes(std::string_view(value.data(), value.size())); }
  };

  uint64_t LengthOf(uint64_t chunk) const {
    return std::min(kBlobChunkBytes, size_ - chunk * kBlobChunkBytes);
  }

  Result<void> Get(uint64_t chunk, bool fill_cache, rocksdb::PinnableSlice* value) const {
    rocksdb::ReadOptions options;
    options.fill_cache = fill_cache;
    SIGNUM_ASSIGN(const auto session, database_->Use());
    const BlobKey key = KeyOf(number_, static_cast<uint32_t>(chunk));
    const rocksdb::Status status = session.db().Get(options, session.blobs(), ToSlice(key), value);
    if (!status.ok()) return FromRocks(status, "read blob " + std::to_string(number_));
    if (value->size() == LengthOf(chunk)) return {};
    return Fail(Errc::kCorrupt, "store_corrupt",
                "blob " + std::to_string(number_) + " chunk " + std::to_string(chunk) + " has " +
                    std::to_string(value->size()) + " bytes, not " +
                    std::to_string(LengthOf(chunk)));
  }

  std::shared_ptr<RocksDatabase> database_;
  uint64_t number_;
  uint64_t size_;
};

Result<uint64_t> ReadTrailer(RocksDatabase& database, uint64_t number) {
  SIGNUM_ASSIGN(const auto session, database.Use());
  rocksdb::PinnableSlice value;
  const rocksdb::Status status = session.db().Get(rocksdb::ReadOptions(), session.blobs(),
                                                  ToSlice(KeyOf(number, kTrailerChunk)), &value);
  if (status.IsNotFound()) return UnknownBlob(number);
  if (!status.ok()) return FromRocks(status, "open blob " + std::to_string(number));
  if (value.size() != 12 || LoadLe<uint32_t>(value.data()) != kTrailerVersion) {
    return Fail(Errc::kCorrupt, "store_corrupt",
                "blob " + std::to_string(number) + ": bad trailer");
  }
  return LoadLe<uint64_t>(value.data() + 4);
}

Result<rocksdb::ColumnFamilyMetaData> BlobFiles(RocksDatabase& database) {
  SIGNUM_ASSIGN(const auto session, database.Use());
  rocksdb::ColumnFamilyMetaData metadata;
  session.db().GetColumnFamilyMetaData(session.blobs(), &metadata);
  return metadata;
}

}  // namespace

Result<std::unique_ptr<BlobWriter>> CreateRocksBlob(std::shared_ptr<RocksDatabase> database,
                                                    uint64_t number) {
  auto writer = std::make_unique<RocksBlobWriter>(std::move(database), number);
  SIGNUM_TRY(writer->Open());
  return std::unique_ptr<BlobWriter>(std::move(writer));
}

Result<std::shared_ptr<const ByteSource>> OpenRocksBlob(std::shared_ptr<RocksDatabase> database,
                                                        uint64_t number) {
  SIGNUM_ASSIGN(const uint64_t size, ReadTrailer(*database, number));
  return std::shared_ptr<const ByteSource>(
      std::make_shared<RocksBlobSource>(std::move(database), number, size));
}

Result<void> DeleteRocksBlob(RocksDatabase& database, uint64_t number) {
  SIGNUM_TRY(ReadTrailer(database, number));
  const BlobKey first = KeyOf(number, 0);
  const BlobKey last = KeyOf(number, kTrailerChunk);
  const rocksdb::Slice begin = ToSlice(first);
  const rocksdb::Slice end = ToSlice(last);
  SIGNUM_TRY(database.Heal());
  SIGNUM_ASSIGN(const auto session, database.Use());
  return database.Note(rocksdb::DeleteFilesInRange(&session.db(), session.blobs(), &begin, &end),
                       "delete blob " + std::to_string(number));
}

uint64_t BlobOfKey(std::string_view key) { return __builtin_bswap64(LoadLe<uint64_t>(key.data())); }

// One file is one blob, so the file list answers without a read.
Result<std::vector<uint64_t>> ListRocksBlobs(RocksDatabase& database) {
  SIGNUM_ASSIGN(const auto files, BlobFiles(database));
  std::vector<uint64_t> numbers;
  for (const auto& level : files.levels) {
    for (const auto& file : level.files) {
      numbers.push_back(BlobOfKey(file.smallestkey));
    }
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

Result<uint64_t> RocksBlobBytes(RocksDatabase& database) {
  SIGNUM_ASSIGN(const auto files, BlobFiles(database));
  return files.size;
}

}  // namespace signum
