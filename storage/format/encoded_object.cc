#include "storage/format/encoded_object.h"

#include <algorithm>
#include <array>

namespace signum {

namespace {

constexpr uint32_t kMagic = 0x314f4553;  // "SEO1"
constexpr uint8_t kVersion = 1;
constexpr size_t kFooterBytes = 32, kSummedFooterBytes = 16;
constexpr size_t kEntryBytes = 20;
// No block takes more: its head, half a byte a number of low bits, its planes as they are.
constexpr uint64_t kLongestBlock = 36 + kEncodedBlockBytes / 2 + kEncodedBlockBytes;

bool IsLayout(const NumberLayout& layout) {
  const bool known = layout.kind <= NumberKind::kFloat;
  const bool width =
      layout.width == 1 || layout.width == 2 || layout.width == 4 || layout.width == 8;
  return known && width && (layout.kind != NumberKind::kBytes || layout.width == 1);
}

uint64_t BlocksOf(uint64_t size) {
  return size / kEncodedBlockBytes + (size % kEncodedBlockBytes == 0 ? 0 : 1);
}

// Bytes of a source: where they are in memory already, else in `buffer`. What is returned is valid
// as long as source and loan.
struct Loan {
  std::vector<std::byte> buffer;
  HeldBytes held;
};
Result<ConstBytes> Borrow(const ByteSource& source, uint64_t offset, size_t size, Loan& loan) {
  if (!source.View().empty()) return source.View().subspan(offset, size);
  SIGNUM_ASSIGN(loan.held, source.Hold(offset, size));
  if (loan.held.bytes.size() == size) return loan.held.bytes;
  loan.buffer.resize(std::max(size, loan.buffer.size()));
  SIGNUM_TRY(source.Read(offset, MutableBytes(loan.buffer).first(size)));
  return ConstBytes(loan.buffer).first(size);
}

// The bytes of a base that stand beside [offset, offset + size) of the raw object, zeros where it
// has none.
Result<ConstBytes> BaseBytes(const ByteSource* base, uint64_t offset, size_t size, Loan& loan) {
  if (base == nullptr || base->size() <= offset) return ConstBytes();
  const size_t there = std::min<uint64_t>(size, base->size() - offset);
  if (there == size) return Borrow(*base, offset, size, loan);
  loan.buffer.resize(std::max(size, loan.buffer.size()));
  SIGNUM_TRY(base->Read(offset, MutableBytes(loan.buffer).first(there)));
  std::fill_n(loan.buffer.begin() + static_cast<std::ptrdiff_t>(there), size - there, std::byte{0});
  return ConstBytes(loan.buffer).first(size);
}

// What decoding a block takes.
struct Workspace {
  BlockCodec codec;
  Loan encoded, base;
};

// Lends this thread's workspaces: one, and another while a base is an encoded object itself.
class WorkspaceLoan {
 public:
  WorkspaceLoan() {
    if (idle_.empty()) idle_.push_back(std::make_unique<Workspace>());
    work_ = std::move(idle_.back());
    idle_.pop_back();
  }
  ~WorkspaceLoan() {
    work_->encoded.held = work_->base.held = {};  // which may keep a store open
    idle_.push_back(std::move(work_));
  }
  WorkspaceLoan(const WorkspaceLoan&) = delete;
  WorkspaceLoan& operator=(const WorkspaceLoan&) = delete;
  Workspace& operator*() const { return *work_; }

 private:
  static thread_local std::vector<std::unique_ptr<Workspace>> idle_;
  std::unique_ptr<Workspace> work_;
};
thread_local std::vector<std::unique_ptr<Workspace>> WorkspaceLoan::idle_;

std::string Footer(uint64_t size, const NumberLayout& layout, bool has_base,
                   const std::string& index) {
  std::string footer(kFooterBytes, '\0');
  StoreLe(footer.data(), size);
  StoreLe(footer.data() + 8, kVersion);
  StoreLe(footer.data() + 9, layout.kind);
  StoreLe(footer.data() + 10, layout.width);
  StoreLe(footer.data() + 11, static_cast<uint8_t>(has_base));
  StoreLe(footer.data() + 12, kMagic);
  const Fletcher sums = Fletcher::Of(AsBytes(index + footer.substr(0, kSummedFooterBytes)));
  StoreLe(footer.data() + 16, sums.a);
  StoreLe(footer.data() + 24, sums.b);
  return footer;
}

void AppendEntry(std::string& index, size_t length, const Fletcher& sums) {
  const size_t at = index.size();
  index.resize(at + kEntryBytes);
  StoreLe(index.data() + at, static_cast<uint32_t>(length));
  StoreLe(index.data() + at + 4, sums.a);
  StoreLe(index.data() + at + 12, sums.b);
}

}  // namespace

NumberLayout LayoutOf(Dtype dtype) {
  const auto width = static_cast<uint8_t>(dtype == Dtype::kC64 ? 4 : DtypeSize(dtype));
  switch (dtype) {
    case Dtype::kF8E5M2:
    case Dtype::kF8E4M3:
    case Dtype::kF16:
    case Dtype::kBF16:
    case Dtype::kF32:
    case Dtype::kF64:
    case Dtype::kC64:
      return {NumberKind::kFloat, width};
    default:
      return {NumberKind::kInteger, width};
  }
}

// ---- writing

Result<EncodeResult> EncodeObject(const ByteSource& raw, const NumberLayout& layout,
                                  const ByteSource* base, const ByteSink& sink,
                                  const ByteProgress& progress) {
  if (!IsLayout(layout) || raw.size() % layout.width != 0) {
    return Fail(Errc::kInternal, "bad_layout", "bytes that are no whole numbers of their layout");
  }
  BlockCodec codec;
  std::vector<std::byte> again(kEncodedBlockBytes);
  Loan raw_loan, base_loan;
  Sha256 hash;
  std::string index;
  EncodeResult result;
  for (uint64_t at = 0; at < raw.size(); at += kEncodedBlockBytes) {
    const size_t size = std::min<uint64_t>(kEncodedBlockBytes, raw.size() - at);
    SIGNUM_ASSIGN(const ConstBytes bytes, Borrow(raw, at, size, raw_loan));
    SIGNUM_ASSIGN(const ConstBytes beside, BaseBytes(base, at, size, base_loan));
    SIGNUM_ASSIGN(const ConstBytes block, codec.Encode(layout, bytes, beside));
    const MutableBytes decoded = MutableBytes(again).first(size);
    SIGNUM_TRY(codec.Decode(layout, block, beside, decoded));
    hash.Update(decoded);
    AppendEntry(index, block.size(), Fletcher::Of(decoded));
    SIGNUM_TRY(sink(block));
    result.size += block.size();
    if (progress && !progress(at + size)) {
      return Fail(Errc::kCancelled, "cancelled", "encoding an object was stopped");
    }
  }
  index += Footer(raw.size(), layout, base != nullptr, index);
  SIGNUM_TRY(sink(AsBytes(index)));
  result.size += index.size();
  result.digest = hash.Finish();
  return result;
}

// ---- reading

Error EncodedObject::Bad(const std::string& why) const {
  return Fail(Errc::kCorrupt, "bad_encoding", "object " + object_.Text() + ": " + why);
}

Result<std::shared_ptr<const EncodedObject>> EncodedObject::Open(
    std::shared_ptr<const ByteSource> encoded, std::shared_ptr<const ByteSource> base,
    const Digest& object, std::shared_ptr<BlockCache> cache) {
  std::shared_ptr<EncodedObject> opened(new EncodedObject());
  opened->encoded_ = std::move(encoded);
  opened->base_ = std::move(base);
  opened->object_ = object;
  opened->cache_ = std::move(cache);
  SIGNUM_TRY(opened->ReadFooter());
  return std::shared_ptr<const EncodedObject>(std::move(opened));
}

// The index is no longer than the bytes that are there, whatever the footer claims.
Result<void> EncodedObject::ReadFooter() {
  if (encoded_->size() < kFooterBytes) return Bad("too short for its footer");
  std::array<std::byte, kFooterBytes> footer;
  SIGNUM_TRY(encoded_->Read(encoded_->size() - kFooterBytes, footer));
  size_ = LoadLe<uint64_t>(footer.data());
  layout_ = {LoadLe<NumberKind>(footer.data() + 9), LoadLe<uint8_t>(footer.data() + 10)};
  const bool has_base = LoadLe<uint8_t>(footer.data() + 11) != 0;
  if (LoadLe<uint32_t>(footer.data() + 12) != kMagic) return Bad("no footer");
  if (LoadLe<uint8_t>(footer.data() + 8) != kVersion) return Bad("an unknown version");
  if (!IsLayout(layout_) || size_ % layout_.width != 0) return Bad("an unknown layout");
  if (has_base != (base_ != nullptr)) return Bad("another base than it was encoded from");
  const uint64_t before = encoded_->size() - kFooterBytes;
  if (BlocksOf(size_) > before / kEntryBytes) return Bad("too short for its index");
  std::vector<std::byte> index(BlocksOf(size_) * kEntryBytes + kSummedFooterBytes);
  SIGNUM_TRY(encoded_->Read(before - (index.size() - kSummedFooterBytes), index));
  const Fletcher sums{LoadLe<uint64_t>(footer.data() + 16), LoadLe<uint64_t>(footer.data() + 24)};
  if (Fletcher::Of(index) != sums) return Bad("its index does not match its checksum");
  return ReadIndex(ConstBytes(index).first(index.size() - kSummedFooterBytes));
}

Result<void> EncodedObject::ReadIndex(ConstBytes index) {
  uint64_t end = 0;
  for (size_t at = 0; at < index.size(); at += kEntryBytes) {
    const std::byte* const entry = index.data() + at;
    const Block block{
        end, LoadLe<uint32_t>(entry), {LoadLe<uint64_t>(entry + 4), LoadLe<uint64_t>(entry + 12)}};
    blocks_.push_back(block);
    end += block.length;
  }
  if (end + index.size() + kFooterBytes != encoded_->size()) return Bad("blocks of another size");
  for (const Block& block : blocks_) {
    if (block.length > kLongestBlock) return Bad("a block that is too long");
  }
  return {};
}

uint64_t EncodedObject::RawBytes(uint64_t block) const {
  return std::min<uint64_t>(kEncodedBlockBytes, size_ - block * kEncodedBlockBytes);
}

Result<void> EncodedObject::Read(uint64_t offset, MutableBytes out) const {
  SIGNUM_TRY(CheckRange(offset, out.size(), size_));
  while (!out.empty()) {
    const uint64_t block = offset / kEncodedBlockBytes;
    const uint64_t within = offset % kEncodedBlockBytes;
    const size_t take = std::min<uint64_t>(out.size(), RawBytes(block) - within);
    if (take == RawBytes(block)) {
      SIGNUM_TRY(Decode(block, out.first(take)));
    } else {
      SIGNUM_ASSIGN(const auto raw, CachedBlock(block));
      std::memcpy(out.data(), raw->data() + within, take);
    }
    out = out.subspan(take);
    offset += take;
  }
  return {};
}

Result<std::shared_ptr<const std::vector<std::byte>>> EncodedObject::CachedBlock(
    uint64_t block) const {
  const BlockKey key{object_, block};
  if (cache_) {
    if (auto known = cache_->Find(key)) return known;
  }
  auto raw = std::make_shared<std::vector<std::byte>>(RawBytes(block));
  SIGNUM_TRY(Decode(block, *raw));
  if (cache_) cache_->Insert(key, raw);
  return std::shared_ptr<const std::vector<std::byte>>(std::move(raw));
}

Result<void> EncodedObject::Decode(uint64_t block, MutableBytes raw) const {
  const WorkspaceLoan loan;
  Workspace& work = *loan;
  const Block& at = blocks_[block];
  SIGNUM_ASSIGN(const ConstBytes bytes, Borrow(*encoded_, at.begin, at.length, work.encoded));
  SIGNUM_ASSIGN(const ConstBytes base,
                BaseBytes(base_.get(), block * kEncodedBlockBytes, raw.size(), work.base));
  const auto decoded = work.codec.Decode(layout_, bytes, base, raw);
  if (decoded.has_error()) return Bad(decoded.error().message);
  if (Fletcher::Of(raw) == at.sums) return {};
  return Bad("block " + std::to_string(block) + " does not match its checksum");
}

}  // namespace signum
