#include "client/local_checkpoint.h"

#include <fcntl.h>

#include <algorithm>

#include "storage/base/file.h"
#include "storage/base/name.h"

namespace signum::client {

namespace {

constexpr size_t kCopyBytes = 4u << 20;

Result<void> CopyToFile(const ByteSource& source, const File& file,
                        const std::function<bool(uint64_t)>& progress) {
  std::string buffer(std::min<uint64_t>(kCopyBytes, source.size()), '\0');
  for (uint64_t offset = 0; offset < source.size();) {
    const MutableBytes piece{reinterpret_cast<std::byte*>(buffer.data()),
                             std::min<uint64_t>(buffer.size(), source.size() - offset)};
    SIGNUM_TRY(source.Read(offset, piece));
    SIGNUM_TRY(file.WriteAt(offset, piece));
    offset += piece.size();
    if (progress && !progress(offset)) return Fail(Errc::kCancelled, "cancelled", "stopped");
  }
  return file.SyncData();
}

// Writes a source under a temporary name and renames it once it is complete and durable.
Result<void> WriteSource(const ByteSource& source, const std::filesystem::path& path,
                         const std::function<bool(uint64_t)>& progress) {
  const std::filesystem::path temporary = path.string() + ".part";
  Result<void> written;
  {
    SIGNUM_ASSIGN(const File file, File::Open(temporary, O_WRONLY | O_CREAT | O_TRUNC));
    written = CopyToFile(source, file, progress);
  }
  std::error_code error;
  if (written) {
    std::filesystem::rename(temporary, path, error);
    if (error) written = FromErrno(error.value(), "rename to " + path.string());
  }
  if (!written) std::filesystem::remove(temporary, error);
  return written;
}

uint64_t BytesOf(const std::vector<CheckpointFile>& files) {
  uint64_t total = 0;
  for (const CheckpointFile& file : files) total += file.bytes->size();
  return total;
}

Result<void> CreateDirectories(const std::filesystem::path& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return FromErrno(error.value(), directory.string());
  return {};
}

}  // namespace

Result<void> LocalCheckpoint::Hash(const HashProgress& progress) {
  const uint64_t total = BytesOf(checkpoint_->files());
  SIGNUM_ASSIGN(hashed_, HashCheckpoint(*checkpoint_, [&](uint64_t done) {
                  if (progress) progress(done, total);
                  return true;
                }));
  blobs_ = std::make_shared<CheckpointBlobs>(*checkpoint_, hashed_.recipe);
  return {};
}

Result<std::shared_ptr<const LocalCheckpoint>> LocalCheckpoint::Open(
    const std::filesystem::path& directory, const HashProgress& progress) {
  auto out = std::make_shared<LocalCheckpoint>();
  SIGNUM_ASSIGN(out->checkpoint_, Checkpoint::OpenDirectory(directory));
  out->directory_bytes_ = BytesOf(out->checkpoint_->files());
  SIGNUM_TRY(out->Hash(progress));
  return out;
}

Result<std::shared_ptr<const LocalCheckpoint>> LocalCheckpoint::OpenFineTune(
    const std::filesystem::path& directory, const LocalCheckpoint& base,
    const HashProgress& progress) {
  auto out = std::make_shared<LocalCheckpoint>();
  SIGNUM_ASSIGN(auto files, Checkpoint::FilesIn(directory));
  out->directory_bytes_ = BytesOf(files);
  SIGNUM_ASSIGN(out->checkpoint_, Checkpoint::ParseFineTune(std::move(files)));
  if (out->checkpoint_->is_adapter()) {
    SIGNUM_ASSIGN(MergedAdapter merged,
                  MergeAdapter(base.checkpoint()->files(), *out->checkpoint_));
    out->checkpoint_ = std::move(merged.checkpoint);
    out->factors_ = std::move(merged.factors);
  }
  SIGNUM_TRY(out->Hash(progress));
  return out;
}

DeltaModels ModelsOf(const LocalCheckpoint& base, const LocalCheckpoint& fine) {
  return {base.checkpoint(), base.checkpoint()->config_json(), base.base_digest(), base.blobs(),
          fine.checkpoint(), fine.checkpoint()->config_json()};
}

Result<MadeDelta> DiffCheckpoints(const LocalCheckpoint& base, const LocalCheckpoint& fine,
                                  const MakeDeltaOptions& options,
                                  const std::filesystem::path& output,
                                  const MakeDeltaCallback& callback) {
  SIGNUM_TRY(CheckArchitecture(base.checkpoint()->config_json(), *base.checkpoint(),
                               fine.checkpoint()->config_json(), *fine.checkpoint()));
  const CheckpointBlobSource blobs(*base.blobs(), *fine.blobs());
  MakeDeltaOptions with_factors = options;
  with_factors.compress.factors = fine.factors();
  const DeltaModels models = ModelsOf(base, fine);
  return MakeDelta({models, fine.recipe(), blobs}, with_factors, output, callback);
}

Result<void> ApplyDelta(const LocalCheckpoint& base,
                        const std::shared_ptr<const DeltaReader>& delta,
                        const std::filesystem::path& output, const ByteProgress& progress) {
  SIGNUM_ASSIGN(const auto rebuilder,
                Rebuilder::Create(base.checkpoint(), base.base_digest(), base.blobs(), delta));
  uint64_t before = 0;
  for (const RecipeFile& file : delta->recipe().files) {
    SIGNUM_TRY(CheckFilePath(file.path));
    SIGNUM_ASSIGN(const auto source, rebuilder->OpenFile(file.path));
    const std::filesystem::path path = output / file.path;
    SIGNUM_TRY(CreateDirectories(path.parent_path()));
    SIGNUM_TRY(WriteSource(*source, path,
                           [&](uint64_t done) { return !progress || progress(before + done); }));
    before += file.size;
  }
  return {};
}

Result<std::shared_ptr<const DeltaReader>> OpenDeltaFile(const std::filesystem::path& path) {
  SIGNUM_ASSIGN(const auto file, MappedFile::Open(path));
  Result<std::shared_ptr<const DeltaReader>> delta = DeltaReader::Open(file, path.string());
  if (!delta && delta.error().code == Errc::kUnusable) {
    return Fail(Errc::kCorrupt, delta.error().reason, delta.error().message);
  }
  return delta;
}

}  // namespace signum::client
