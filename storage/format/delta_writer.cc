#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <tuple>
#include <unordered_set>

#include "storage/base/name.h"
#include "storage/format/chunk_hasher.h"
#include "storage/format/delta_metadata.h"

namespace signum {

namespace {

constexpr size_t kCopyBytes = 1024 * 1024;

struct Spilled {
  TensorInfo info;
  uint64_t at = 0;  // in the spill file
  uint64_t bytes = 0;
};

// The largest power of two, up to kDeltaAlignment, that divides the size.
uint64_t Alignment(uint64_t bytes) {
  return bytes == 0 ? kDeltaAlignment : std::min(kDeltaAlignment, bytes & (~bytes + 1));
}

// FORMAT.md, "Order". Sorted by alignment first, every tensor begins on a multiple of its own.
bool Before(const Spilled& a, const Spilled& b) {
  return std::make_tuple(Alignment(b.bytes), b.bytes, std::string_view(a.info.name)) <
         std::make_tuple(Alignment(a.bytes), a.bytes, std::string_view(b.info.name));
}

// Puts the tensors into the order of the file and gives its header; fills the entries in.
std::string LayOut(const DeltaHeader& header, std::vector<Spilled>& tensors,
                   std::vector<SafetensorsEntry>& entries) {
  std::sort(tensors.begin(), tensors.end(), Before);
  entries.clear();
  for (const Spilled& tensor : tensors) entries.push_back({tensor.info, 0, 0});
  return BuildSafetensorsHeader(entries, DeltaMetadata(header), kDeltaAlignment);
}

// A tensor in the spill file.
class SpilledSource final : public ByteSource {
 public:
  SpilledSource(const File& spill, uint64_t at, uint64_t size)
      : spill_(spill), at_(at), size_(size) {}
  uint64_t size() const override { return size_; }
  Result<void> Read(uint64_t offset, MutableBytes out) const override {
    SIGNUM_TRY(CheckRange(offset, out.size(), size_));
    return spill_.ReadAt(at_ + offset, out);
  }

 private:
  const File& spill_;
  uint64_t at_, size_;
};

// The file that the delta becomes; removed again unless it was kept.
class Output {
 public:
  explicit Output(std::filesystem::path path) : path_(std::move(path)) {}
  ~Output() {
    if (file_ && !kept_) ::unlink(path_.c_str());
  }
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  Result<void> Open() {
    SIGNUM_ASSIGN(file_, File::Open(path_, O_WRONLY | O_CREAT | O_TRUNC));
    return {};
  }

  Result<void> Write(ConstBytes bytes) {
    SIGNUM_TRY(file_.WriteAt(at_, bytes));
    at_ += bytes.size();
    hasher_.Update(bytes);
    return {};
  }

  Result<DeltaWriter::Sealed> Keep() {
    SIGNUM_TRY(file_.SyncData());
    SIGNUM_TRY(SyncDirectory(path_.has_parent_path() ? path_.parent_path() : "."));
    kept_ = true;
    return hasher_.Finish();
  }

 private:
  std::filesystem::path path_;
  File file_;
  uint64_t at_ = 0;
  ChunkHasher hasher_;
  bool kept_ = false;
};

}  // namespace

class DeltaWriter::Impl {
 public:
  Impl(std::filesystem::path path, std::filesystem::path spill_path, File spill)
      : path_(std::move(path)), spill_path_(std::move(spill_path)), spill_(std::move(spill)) {}
  ~Impl() { ::unlink(spill_path_.c_str()); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Result<void> Begin(TensorInfo info) {
    SIGNUM_TRY(CheckComplete());
    if (!names_.insert(info.name).second) {
      return Fail(Errc::kInvalid, "duplicate_tensor",
                  "tensor '" + Printable(info.name) + "' was added twice");
    }
    const uint64_t bytes = info.bytes();
    tensors_.push_back({std::move(info), at_, bytes});
    return {};
  }

  Result<void> Append(ConstBytes bytes) {
    if (tensors_.empty() || Written() + bytes.size() > tensors_.back().bytes) return SizeMismatch();
    SIGNUM_TRY(spill_.WriteAt(at_, bytes));
    at_ += bytes.size();
    return {};
  }

  Result<std::shared_ptr<const ByteSource>> Written(std::string_view name) const {
    SIGNUM_TRY(CheckComplete());
    const auto at = std::find_if(tensors_.rbegin(), tensors_.rend(),
                                 [&](const Spilled& tensor) { return tensor.info.name == name; });
    if (at != tensors_.rend()) return std::make_shared<SpilledSource>(spill_, at->at, at->bytes);
    return Fail(Errc::kNotFound, "unknown_tensor",
                "tensor '" + Printable(name) + "' was not added");
  }

  Result<Sealed> Finish(const DeltaHeader& header) {
    SIGNUM_TRY(CheckComplete());
    std::vector<SafetensorsEntry> entries;
    const std::string text = LayOut(header, tensors_, entries);
    SIGNUM_TRY(Check(header, entries, text));
    Output output(path_);
    SIGNUM_TRY(output.Open());
    SIGNUM_TRY(output.Write(AsBytes(text)));
    for (const Spilled& tensor : tensors_) SIGNUM_TRY(Copy(tensor, &output));
    return output.Keep();
  }

 private:
  uint64_t Written() const { return at_ - tensors_.back().at; }

  Error SizeMismatch() const {
    const std::string what = tensors_.empty() ? "bytes before the first tensor"
                                              : "tensor '" + Printable(tensors_.back().info.name) +
                                                    "' of " + tensors_.back().info.Describe() +
                                                    " got another number of bytes";
    return Fail(Errc::kInvalid, "size_mismatch", what);
  }

  Result<void> CheckComplete() const {
    if (tensors_.empty() || Written() == tensors_.back().bytes) return {};
    return SizeMismatch();
  }

  // What is written must be what a reader accepts.
  Result<void> Check(const DeltaHeader& header, const std::vector<SafetensorsEntry>& entries,
                     const std::string& text) const {
    if (text.size() - 8 > kMaxSafetensorsHeader) {
      return Fail(Errc::kUnusable, "header_too_long", "the delta's header is over 100 MB");
    }
    if (!names_.contains(std::string(kRecipeName))) {
      return Fail(Errc::kInvalid, "missing_part", "the delta has no signum.recipe");
    }
    const StatedCodecs stated = NotImplied(header.codecs);
    SIGNUM_ASSIGN(const PartTable table, GroupParts(entries, stated));
    SIGNUM_ASSIGN(const auto codecs, CheckParts(table, stated));
    if (codecs == header.codecs) return {};
    return Fail(Errc::kInvalid, "bad_codec", "the header's codecs are not those of the tensors");
  }

  Result<void> Copy(const Spilled& tensor, Output* output) {
    buffer_.resize(kCopyBytes);
    for (uint64_t done = 0; done < tensor.bytes;) {
      const size_t take = std::min<uint64_t>(kCopyBytes, tensor.bytes - done);
      const MutableBytes piece = MutableBytes(buffer_).first(take);
      SIGNUM_TRY(spill_.ReadAt(tensor.at + done, piece));
      SIGNUM_TRY(output->Write(piece));
      done += take;
    }
    return {};
  }

  std::filesystem::path path_;
  std::filesystem::path spill_path_;
  File spill_;
  uint64_t at_ = 0;  // bytes spilled
  std::vector<Spilled> tensors_;
  std::unordered_set<std::string> names_;
  std::vector<std::byte> buffer_;
};

uint64_t DeltaFileBytes(const DeltaHeader& header, const std::vector<TensorInfo>& tensors) {
  std::vector<Spilled> spilled;
  uint64_t total = 0;
  for (const TensorInfo& info : tensors) {
    spilled.push_back({info, 0, info.bytes()});
    total += info.bytes();
  }
  std::vector<SafetensorsEntry> entries;
  return LayOut(header, spilled, entries).size() + total;
}

DeltaWriter::DeltaWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
DeltaWriter::~DeltaWriter() = default;

Result<std::unique_ptr<DeltaWriter>> DeltaWriter::Create(const std::filesystem::path& path) {
  std::filesystem::path spill_path = path;
  spill_path += ".spill";
  SIGNUM_ASSIGN(File spill, File::Open(spill_path, O_RDWR | O_CREAT | O_TRUNC));
  auto impl = std::make_unique<Impl>(path, spill_path, std::move(spill));
  return std::unique_ptr<DeltaWriter>(new DeltaWriter(std::move(impl)));
}

Result<void> DeltaWriter::Begin(TensorInfo info) { return impl_->Begin(std::move(info)); }
Result<void> DeltaWriter::Append(ConstBytes bytes) { return impl_->Append(bytes); }

Result<void> DeltaWriter::Add(TensorInfo info, ConstBytes bytes) {
  SIGNUM_TRY(impl_->Begin(std::move(info)));
  return impl_->Append(bytes);
}

Result<std::shared_ptr<const ByteSource>> DeltaWriter::Written(std::string_view name) const {
  return impl_->Written(name);
}

Result<DeltaWriter::Sealed> DeltaWriter::Finish(const DeltaHeader& header) {
  return impl_->Finish(header);
}

}  // namespace signum
