#include "client/partial_file.h"

#include <fcntl.h>

#include <algorithm>
#include <numeric>
#include <span>
namespace signum::client {

Result<PartialFile> PartialFile::Open(const std::filesystem::path& target) {
  PartialFile part;
  part.path_ = target.string() + ".part";
  part.etag_path_ = target.string() + ".part.etag";
  SIGNUM_ASSIGN(part.file_, File::Open(part.path_, O_RDWR | O_CREAT));
  std::error_code ignored;
  if (!std::filesystem::exists(part.ranges_path(), ignored)) {
    SIGNUM_ASSIGN(part.size_, part.file_.Size());
  }
  if (const Result<std::string> etag = ReadFile(part.etag_path_, 1024)) part.etag_ = *etag;
  if (part.etag_.empty()) SIGNUM_TRY(part.StartOver({}));
  return part;
}

Result<void> PartialFile::SetEtag(const std::string& etag) {
  etag_ = etag;
  return WriteFileAtomically(etag_path_, AsBytes(etag_));
}

Result<void> PartialFile::StartOver(const std::string& etag) {
  std::error_code ignored;
  std::filesystem::remove(ranges_path(), ignored);
  SIGNUM_TRY(file_.Truncate(0));
  size_ = 0;
  return SetEtag(etag);
}

Result<void> PartialFile::Append(ConstBytes bytes) {
  SIGNUM_TRY(file_.WriteAt(size_, bytes));
  size_ += bytes.size();
  received += bytes.size();
  return {};
}

void PartialFile::Remove() const {
  std::error_code ignored;
  for (const auto& path : {path_, etag_path_, ranges_path()}) {
    std::filesystem::remove(path, ignored);
  }
}

// ---- the journal

namespace {
constexpr size_t kHeaderWords = 2;
}  // namespace

RangeJournal::RangeJournal(File file, uint64_t size, uint64_t range_bytes)
    : file_(std::move(file)),
      size_(size),
      range_bytes_(range_bytes),
      done_((size + range_bytes - 1) / range_bytes) {}

uint64_t RangeJournal::length(size_t range) const {
  return std::min(range_bytes_, size_ - begin(range));
}

uint64_t RangeJournal::present() const {
  return std::accumulate(done_.begin(), done_.end(), uint64_t{0});
}

bool RangeJournal::Load() {
  std::vector<uint64_t> words(kHeaderWords + count());
  const Result<uint64_t> size = file_.Size();
  if (!size || *size != words.size() * sizeof(uint64_t)) return false;
  if (!file_.ReadAt(0, std::as_writable_bytes(std::span(words)))) return false;
  if (words[0] != size_ || words[1] != range_bytes_) return false;
  for (size_t i = 0; i < count(); ++i) done_[i] = std::min(words[kHeaderWords + i], length(i));
  return true;
}

// Every supported host is little-endian.
Result<void> RangeJournal::Write() {
  std::vector<uint64_t> words = {size_, range_bytes_};
  words.insert(words.end(), done_.begin(), done_.end());
  SIGNUM_TRY(file_.Truncate(0));
  return file_.WriteAt(0, std::as_bytes(std::span(words)));
}

Result<void> RangeJournal::Note(size_t range, uint64_t done) {
  done_[range] = done;
  return file_.WriteAt((kHeaderWords + range) * sizeof(uint64_t),
                       std::as_bytes(std::span(&done_[range], 1)));
}

Result<RangeJournal> RangeJournal::Open(const std::filesystem::path& path, uint64_t size,
                                        uint64_t range_bytes, uint64_t prefix) {
  SIGNUM_ASSIGN(File file, File::Open(path, O_RDWR | O_CREAT));
  RangeJournal journal(std::move(file), size, range_bytes);
  if (journal.Load()) return journal;
  for (size_t i = 0; i < journal.count(); ++i) {
    const uint64_t begin = std::min(journal.begin(i), prefix);
    journal.done_[i] = std::min(prefix - begin, journal.length(i));
  }
  SIGNUM_TRY(journal.Write());
  return journal;
}

}  // namespace signum::client
