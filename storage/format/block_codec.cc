#include "storage/format/block_codec.h"

#define ZSTD_STATIC_LINKING_ONLY  // for ZSTD_c_literalCompressionMode
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>

namespace signum {

namespace {

// Of a tensor's planes there is little that a longer search would find: their entropy is what
// counts. Text of tokenizers and configs is worth the search, and small.
constexpr int kPlaneLevel = 1;
constexpr int kFileLevel = 9;
constexpr int kNoSearchLevel = -1000;  // looks for repetitions hardly anywhere

constexpr size_t kFieldBytes = 4;

size_t HeadBytes(const NumberLayout& layout) { return kFieldBytes * (1 + layout.width); }

alignas(64) constexpr std::array<std::byte, kEncodedBlockBytes> kZeros{};

const std::byte* OrZeros(ConstBytes base) { return base.empty() ? kZeros.data() : base.data(); }

bool AllZero(ConstBytes bytes) { return std::equal(bytes.begin(), bytes.end(), kZeros.begin()); }

bool IsShift(uint32_t shift) { return shift == 0 || shift == 1 || shift == 2 || shift == 4; }

Error NoMemory() { return Fail(Errc::kInternal, "zstd", "no memory for zstd"); }

Error NoLevel() { return Fail(Errc::kInternal, "zstd", "zstd does not know a level"); }

Error Bad(const char* why) {
  return Fail(Errc::kCorrupt, "bad_encoding", "a block of an encoded object: " + std::string(why));
}

}  // namespace

Fletcher Fletcher::Of(ConstBytes bytes) {
  Fletcher sums;
  const size_t whole = bytes.size() / 8 * 8;
  for (size_t i = 0; i < whole; i += 8) {
    sums.a += LoadLe<uint64_t>(bytes.data() + i);
    sums.b += sums.a;
  }
  if (whole < bytes.size()) {
    uint64_t last = 0;
    std::memcpy(&last, bytes.data() + whole, bytes.size() - whole);
    sums.a += last;
    sums.b += sums.a;
  }
  return sums;
}

struct BlockCodec::Zstd {
  std::unique_ptr<ZSTD_CCtx, decltype(&ZSTD_freeCCtx)> compress{nullptr, ZSTD_freeCCtx};
  std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> decompress{nullptr, ZSTD_freeDCtx};
};

BlockCodec::BlockCodec() : zstd_(std::make_unique<Zstd>()), planes_(kEncodedBlockBytes) {}

BlockCodec::~BlockCodec() = default;

// A level below 0 would leave the entropy coder out too, unless it is told not to.
bool BlockCodec::SetLevel(int level) {
  ZSTD_CCtx* const to = zstd_->compress.get();
  const auto literals = level < 0 ? ZSTD_ps_enable : ZSTD_ps_auto;
  ZSTD_CCtx_reset(to, ZSTD_reset_session_only);  // of a plane that did not fit
  return ZSTD_isError(ZSTD_CCtx_setParameter(to, ZSTD_c_compressionLevel, level)) == 0 &&
         ZSTD_isError(ZSTD_CCtx_setParameter(to, ZSTD_c_literalCompressionMode, literals)) == 0;
}

// A plane that zstd does not make smaller is kept as it is; one of zeros takes nothing.
Result<size_t> BlockCodec::AppendPlane(ConstBytes plane, PlaneCoding coding, int level,
                                       size_t end) {
  if (AllZero(plane)) return 0;
  if (coding != PlaneCoding::kRaw) {
    if (!SetLevel(coding == PlaneCoding::kLiterals ? kNoSearchLevel : level)) return NoLevel();
    const size_t length = ZSTD_compress2(zstd_->compress.get(), block_.data() + end,
                                         plane.size() - 1, plane.data(), plane.size());
    if (ZSTD_isError(length) == 0) return length;
    if (ZSTD_getErrorCode(length) == ZSTD_error_memory_allocation) return NoMemory();
  }
  std::memcpy(block_.data() + end, plane.data(), plane.size());
  return plane.size();
}

Result<ConstBytes> BlockCodec::Encode(const NumberLayout& layout, ConstBytes raw, ConstBytes base) {
  if (!zstd_->compress) zstd_->compress.reset(ZSTD_createCCtx());
  if (!zstd_->compress) return NoMemory();
  const size_t count = raw.size() / layout.width;
  const bool file = layout.kind == NumberKind::kBytes;
  const PlaneChoice choice = file ? PlaneChoice{0, {PlaneCoding::kMatches}}
                                  : ChoosePlanes(layout, raw.data(), OrZeros(base), count);
  const size_t head = HeadBytes(layout), packed = PackedBytes(choice.shift, count);
  block_.resize(head + packed + raw.size());
  StoreLe(block_.data(), static_cast<uint32_t>(choice.shift));
  SplitDifference(layout, choice.shift, raw.data(), OrZeros(base), count, planes_.data(),
                  block_.data() + head);
  size_t end = head + packed;
  for (size_t p = 0; p < layout.width; ++p) {
    const ConstBytes plane = ConstBytes(planes_).subspan(p * count, count);
    SIGNUM_ASSIGN(const size_t length,
                  AppendPlane(plane, choice.coding[p], file ? kFileLevel : kPlaneLevel, end));
    StoreLe(block_.data() + (p + 1) * kFieldBytes, static_cast<uint32_t>(length));
    end += length;
  }
  return ConstBytes(block_).first(end);
}

// Where the next plane of `rest` lies: in the block itself, or unpacked in `room`.
Result<const std::byte*> BlockCodec::TakePlane(size_t length, ConstBytes& rest, MutableBytes room) {
  if (length > room.size() || length > rest.size()) return Bad("a plane is too long");
  const std::byte* const packed = rest.data();
  rest = rest.subspan(length);
  if (length == 0) return kZeros.data();
  if (length == room.size()) return packed;
  const size_t unpacked =
      ZSTD_decompressDCtx(zstd_->decompress.get(), room.data(), room.size(), packed, length);
  if (unpacked == room.size()) return room.data();  // an error code is no such number
  return Bad("zstd does not give the plane back");
}

Result<void> BlockCodec::Decode(const NumberLayout& layout, ConstBytes block, ConstBytes base,
                                MutableBytes raw) {
  if (!zstd_->decompress) zstd_->decompress.reset(ZSTD_createDCtx());
  if (!zstd_->decompress) return NoMemory();
  const size_t count = raw.size() / layout.width;
  if (block.size() < HeadBytes(layout)) return Bad("too short");
  const auto shift = LoadLe<uint32_t>(block.data());
  if (!IsShift(shift) || (shift > 0 && layout.kind == NumberKind::kBytes)) return Bad("its shift");
  ConstBytes rest = block.subspan(HeadBytes(layout));
  if (rest.size() < PackedBytes(shift, count)) return Bad("too short");
  const std::byte* const low = rest.data();
  rest = rest.subspan(PackedBytes(shift, count));
  std::array<const std::byte*, kMostPlanes> planes{};
  for (size_t p = 0; p < layout.width; ++p) {
    const auto length = LoadLe<uint32_t>(block.data() + (p + 1) * kFieldBytes);
    const MutableBytes room = MutableBytes(planes_).subspan(p * count, count);
    SIGNUM_ASSIGN(planes[p], TakePlane(length, rest, room));
  }
  if (!rest.empty()) return Bad("bytes after its last plane");
  JoinDifference(layout, shift, planes, low, OrZeros(base), count, raw.data());
  return {};
}

}  // namespace signum
