#include "tests/storage/store/fault_file_system.h"

#include <filesystem>
#include <fstream>
#include <iterator>

namespace signum {

namespace fs = std::filesystem;
using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;
using rocksdb::Slice;

namespace {

std::string Bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

uint64_t SizeOf(const std::string& path) {
  std::error_code error;
  const uint64_t size = fs::file_size(path, error);
  return error ? 0 : size;
}

}  // namespace

class FaultyFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  FaultyFile(FaultFileSystem& system, std::string path,
             std::unique_ptr<rocksdb::FSWritableFile> file)
      : FSWritableFileOwnerWrapper(std::move(file)), system_(system), path_(std::move(path)) {}

  IOStatus Append(const Slice& data, const IOOptions& options, IODebugContext* debug) override {
    IOStatus status = system_.Change();
    if (status.ok()) return target()->Append(data, options, debug);
    target()->Append(Slice(data.data(), data.size() / 2), options, debug).PermitUncheckedError();
    return status;
  }
  IOStatus Append(const Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* debug) override {
    return Append(data, options, debug);
  }
  IOStatus Sync(const IOOptions& options, IODebugContext* debug) override {
    IOStatus status = system_.Change();
    if (status.ok()) status = target()->Flush(options, debug);
    if (status.ok()) system_.Synced(path_, SizeOf(path_));
    return status;
  }
  IOStatus Fsync(const IOOptions& options, IODebugContext* debug) override {
    return Sync(options, debug);
  }

 private:
  FaultFileSystem& system_;
  const std::string path_;
};

class FaultyDirectory final : public rocksdb::FSDirectoryWrapper {
 public:
  FaultyDirectory(FaultFileSystem& system, std::string path,
                  std::unique_ptr<rocksdb::FSDirectory> directory)
      : FSDirectoryWrapper(std::move(directory)), system_(system), path_(std::move(path)) {}

  IOStatus Fsync(const IOOptions&, IODebugContext*) override {
    IOStatus status = system_.Change();
    if (status.ok()) system_.DirectorySynced(path_);
    return status;
  }
  IOStatus FsyncWithDirOptions(const IOOptions& options, IODebugContext* debug,
                               const rocksdb::DirFsyncOptions&) override {
    return Fsync(options, debug);
  }

 private:
  FaultFileSystem& system_;
  const std::string path_;
};

std::shared_ptr<FaultFileSystem> FaultFileSystem::Make() {
  return std::shared_ptr<FaultFileSystem>(new FaultFileSystem(rocksdb::FileSystem::Default()));
}

void FaultFileSystem::FailAfter(uint64_t count, bool lasting) {
  const std::lock_guard lock(mutex_);
  fail_from_ = changes_ + count;
  lasting_ = lasting;
}

void FaultFileSystem::StopFailing() {
  const std::lock_guard lock(mutex_);
  fail_from_ = UINT64_MAX;
}

uint64_t FaultFileSystem::changes() const {
  const std::lock_guard lock(mutex_);
  return changes_;
}

IOStatus FaultFileSystem::Change() {
  const std::lock_guard lock(mutex_);
  const uint64_t number = changes_++;
  if (number < fail_from_) return IOStatus::OK();
  if (!lasting_) fail_from_ = UINT64_MAX;
  return IOStatus::IOError("injected");
}

void FaultFileSystem::Synced(const std::string& path, uint64_t size) {
  const std::lock_guard lock(mutex_);
  synced_[path] = size;
}

void FaultFileSystem::DirectorySynced(const std::string& path) {
  const std::lock_guard lock(mutex_);
  std::erase_if(names_, [&](const auto& name) {
    return fs::path(name.first).parent_path() == fs::path(path);
  });
}

void FaultFileSystem::Created(const std::string& path, NewName name) {
  const std::lock_guard lock(mutex_);
  names_[path] = std::move(name);
}

void FaultFileSystem::LoseUnsynced(uint64_t seed) {
  const std::lock_guard lock(mutex_);
  std::mt19937_64 random(seed);
  for (const auto& [path, synced] : synced_) {
    const uint64_t size = SizeOf(path);
    if (size > synced) fs::resize_file(path, synced + random() % (size - synced + 1));
  }
  for (const auto& [path, name] : names_) {
    if (random() % 2 == 0 || !fs::exists(path)) continue;
    if (name.from.empty()) {
      fs::remove(path);
    } else {
      fs::rename(path, name.from);
    }
    if (name.replaced) std::ofstream(path, std::ios::binary) << *name.replaced;
  }
  synced_.clear();
  names_.clear();
  fail_from_ = UINT64_MAX;
}

IOStatus FaultFileSystem::NewWritableFile(const std::string& path, const FileOptions& options,
                                          std::unique_ptr<rocksdb::FSWritableFile>* file,
                                          IODebugContext* debug) {
  IOStatus status = Change();
  const bool existed = fs::exists(path);
  if (status.ok()) status = target_->NewWritableFile(path, options, file, debug);
  if (!status.ok()) return status;
  if (!existed) Created(path, {});
  Synced(path, 0);
  *file = std::make_unique<FaultyFile>(*this, path, std::move(*file));
  return status;
}

IOStatus FaultFileSystem::ReopenWritableFile(const std::string& path, const FileOptions& options,
                                             std::unique_ptr<rocksdb::FSWritableFile>* file,
                                             IODebugContext* debug) {
  IOStatus status = Change();
  if (status.ok()) status = target_->ReopenWritableFile(path, options, file, debug);
  if (!status.ok()) return status;
  Synced(path, SizeOf(path));
  *file = std::make_unique<FaultyFile>(*this, path, std::move(*file));
  return status;
}

IOStatus FaultFileSystem::ReuseWritableFile(const std::string& path, const std::string& old,
                                            const FileOptions& options,
                                            std::unique_ptr<rocksdb::FSWritableFile>* file,
                                            IODebugContext* debug) {
  IOStatus status = RenameFile(old, path, IOOptions(), debug);
  if (!status.ok()) return status;
  return NewWritableFile(path, options, file, debug);
}

IOStatus FaultFileSystem::NewDirectory(const std::string& path, const IOOptions& options,
                                       std::unique_ptr<rocksdb::FSDirectory>* directory,
                                       IODebugContext* debug) {
  IOStatus status = target_->NewDirectory(path, options, directory, debug);
  if (status.ok()) {
    *directory = std::make_unique<FaultyDirectory>(*this, path, std::move(*directory));
  }
  return status;
}

IOStatus FaultFileSystem::RenameFile(const std::string& from, const std::string& to,
                                     const IOOptions& options, IODebugContext* debug) {
  IOStatus status = Change();
  if (!status.ok()) return status;
  NewName name{from, {}};
  if (fs::exists(to)) name.replaced = Bytes(to);
  status = target_->RenameFile(from, to, options, debug);
  if (!status.ok()) return status;
  const std::lock_guard lock(mutex_);
  if (const auto moved = synced_.extract(from)) synced_[to] = moved.mapped();
  names_.erase(from);
  names_[to] = std::move(name);
  return status;
}

IOStatus FaultFileSystem::LinkFile(const std::string& from, const std::string& to,
                                   const IOOptions& options, IODebugContext* debug) {
  IOStatus status = Change();
  if (status.ok()) status = target_->LinkFile(from, to, options, debug);
  if (status.ok()) Created(to, {});
  return status;
}

IOStatus FaultFileSystem::DeleteFile(const std::string& path, const IOOptions& options,
                                     IODebugContext* debug) {
  IOStatus status = Change();
  if (status.ok()) status = target_->DeleteFile(path, options, debug);
  if (!status.ok()) return status;
  const std::lock_guard lock(mutex_);
  synced_.erase(path);
  names_.erase(path);
  return status;
}

}  // namespace signum
