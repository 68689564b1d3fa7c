#pragma once

#include <rocksdb/file_system.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <string>

namespace signum {

// A file system under RocksDB that fails and loses power on demand. Changes (appends, syncs, new
// files, renames, links, deletions) are counted, and can be made to fail from a number on. What was
// not synced, of files and of directories, is lost when the power is cut. Thread-safe.
class FaultFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  static std::shared_ptr<FaultFileSystem> Make();
  const char* Name() const override { return "FaultFileSystem"; }

  // The change after `count` further ones fails; every later one too where `lasting`. A failing
  // append writes half of its bytes.
  void FailAfter(uint64_t count, bool lasting);
  void CutPower() { FailAfter(0, true); }
  void StopFailing();
  uint64_t changes() const;

  // With nothing open: loses what was not synced. Of a file's tail a random part stays, as of a
  // disk that wrote some of its cache; of a directory's unsynced names a random half.
  void LoseUnsynced(uint64_t seed);

  rocksdb::IOStatus NewWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                    std::unique_ptr<rocksdb::FSWritableFile>* file,
                                    rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReopenWritableFile(const std::string& path, const rocksdb::FileOptions& options,
                                       std::unique_ptr<rocksdb::FSWritableFile>* file,
                                       rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus ReuseWritableFile(const std::string& path, const std::string& old,
                                      const rocksdb::FileOptions& options,
                                      std::unique_ptr<rocksdb::FSWritableFile>* file,
                                      rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus NewDirectory(const std::string& path, const rocksdb::IOOptions& options,
                                 std::unique_ptr<rocksdb::FSDirectory>* directory,
                                 rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus RenameFile(const std::string& from, const std::string& to,
                               const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus LinkFile(const std::string& from, const std::string& to,
                             const rocksdb::IOOptions& options,
                             rocksdb::IODebugContext* debug) override;
  rocksdb::IOStatus DeleteFile(const std::string& path, const rocksdb::IOOptions& options,
                               rocksdb::IODebugContext* debug) override;

 private:
  friend class FaultyFile;
  friend class FaultyDirectory;
  // A new name in a directory that was not synced since.
  struct NewName {
    std::string from;                     // of a rename
    std::optional<std::string> replaced;  // the bytes of what a rename replaced
  };

  explicit FaultFileSystem(const std::shared_ptr<rocksdb::FileSystem>& target)
      : FileSystemWrapper(target) {}
  rocksdb::IOStatus Change();  // counts one; an error where it is to fail
  void Synced(const std::string& path, uint64_t size);
  void DirectorySynced(const std::string& path);
  void Created(const std::string& path, NewName name);

  mutable std::mutex mutex_;
  uint64_t changes_ = 0;
  uint64_t fail_from_ = UINT64_MAX;
  bool lasting_ = false;
  std::map<std::string, uint64_t> synced_;  // of files written to: bytes that are safe
  std::map<std::string, NewName> names_;
};

}  // namespace signum
