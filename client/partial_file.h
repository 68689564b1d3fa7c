#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "storage/base/file.h"
#include "storage/base/result.h"

namespace signum::client {

// A file on its way here, with what is needed to go on in a later run:
//   "<path>.part"         its bytes: a beginning, or ranges where there is a journal
//   "<path>.part.etag"    the ETag that they belong to
//   "<path>.part.ranges"  the journal, where ranges of it come at once: see RangeJournal
// Nothing in them is trusted: the complete bytes are verified before the file gets its name. Not
// thread-safe.
class PartialFile {
 public:
  static Result<PartialFile> Open(const std::filesystem::path& target);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path ranges_path() const { return path_.string() + ".ranges"; }
  const File& file() const { return file_; }
  const std::string& etag() const { return etag_; }
  // Bytes that are here from the beginning on; 0 where there is a journal.
  uint64_t size() const { return size_; }
  uint64_t received = 0;  // in this call

  // Forgets everything; what comes from here on belongs to `etag`.
  Result<void> StartOver(const std::string& etag);
  Result<void> SetEtag(const std::string& etag);
  Result<void> Append(ConstBytes bytes);
  // Ranges have made it whole.
  void Complete(uint64_t size) { size_ = size; }
  void Remove() const;

 private:
  std::filesystem::path path_, etag_path_;
  File file_;
  uint64_t size_ = 0;
  std::string etag_;
};

// How much of each range of a file is here. On disk: the file's size, the ranges' size, then a
// count of bytes for each range, all little-endian 64-bit. Each count is written when its bytes
// are, so that a process that is killed loses none that it has noted. Not thread-safe.
class RangeJournal {
 public:
  // The one at `path`, where it is of these sizes; else a new one, in which the first `prefix`
  // bytes of the file are here.
  static Result<RangeJournal> Open(const std::filesystem::path& path, uint64_t size,
                                   uint64_t range_bytes, uint64_t prefix);

  size_t count() const { return done_.size(); }
  uint64_t begin(size_t range) const { return range * range_bytes_; }
  uint64_t length(size_t range) const;
  uint64_t done(size_t range) const { return done_[range]; }
  bool complete(size_t range) const { return done_[range] == length(range); }
  uint64_t present() const;
  Result<void> Note(size_t range, uint64_t done);

 private:
  RangeJournal(File file, uint64_t size, uint64_t range_bytes);
  bool Load();
  Result<void> Write();

  File file_;
  uint64_t size_, range_bytes_;
  std::vector<uint64_t> done_;
};

}  // namespace signum::client
