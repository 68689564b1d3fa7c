#include "storage/format/block_codec.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace signum {

namespace {

// Of a tensor's planes there is little that a longer search would find: their entropy is what
// counts. Text of tokenizers and configs is worth the search, and small.
constexpr int kPlaneLevel = 1;
constexpr int kFileLevel = 9;

constexpr size_t kFieldBytes = 4;

size_t HeadBytes(const NumberLayout& layout) { return kFieldBytes * (1 + layout.width); }

constexpr std::array<size_t, 4> kShifts = {0, 1, 2, 4};
constexpr size_t kSample = 4096;  // numbers of a block that its shift is chosen by

alignas(64) constexpr std::array<std::byte, kEncodedBlockBytes> kZeros{};

const std::byte* OrZeros(ConstBytes base) { return base.empty() ? kZeros.data() : base.data(); }

bool AllZero(ConstBytes bytes) { return std::equal(bytes.begin(), bytes.end(), kZeros.begin()); }

bool IsShift(uint32_t shift) { return shift == 0 || shift == 1 || shift == 2 || shift == 4; }

// Bits that an ideal code takes for a byte of `counts`, 256 of them that add up to `total`.
double Entropy(const std::array<uint32_t, 256>& counts, size_t total) {
  double bits = 0;
  for (const uint32_t count : counts) {
    if (count == 0) continue;
    const double share = static_cast<double>(count) / static_cast<double>(total);
    bits -= share * std::log2(share);
  }
  return bits;
}

// Bits a number when the planes are shifted by `shift`, from some of the numbers.
double CostOf(size_t shift, size_t width, size_t count, ConstBytes planes) {
  const size_t step = std::max<size_t>(1, count / kSample);
  double bits = static_cast<double>(shift);
  for (size_t p = 0; p < width; ++p) {
    std::array<uint32_t, 256> counts{};
    size_t total = 0;
    for (size_t i = 0; i < count; i += step, ++total) {
      const auto low = static_cast<uint32_t>(planes[p * count + i]);
      const uint32_t high = p + 1 < width ? static_cast<uint32_t>(planes[(p + 1) * count + i]) : 0;
      ++counts[(low | high << 8) >> shift & 0xff];
    }
    bits += Entropy(counts, total);
  }
  return bits;
}

// How far to shift: low bits that are noise cost a coder time and save nothing, and what is above
// them may then fit one byte less. Of about equal costs the longest, which decodes fastest.
size_t BestShift(size_t width, size_t count, ConstBytes planes) {
  constexpr double kAboutEqual = 1.01, kNoise = 0.97 * 8;
  std::array<double, 4> costs;
  for (size_t i = 0; i < kShifts.size(); ++i) costs[i] = CostOf(kShifts[i], width, count, planes);
  if (costs[0] > kNoise * static_cast<double>(width)) return 0;
  const double most = *std::min_element(costs.begin(), costs.end()) * kAboutEqual;
  size_t best = 0;
  for (size_t i = 0; i < kShifts.size(); ++i) best = costs[i] <= most ? kShifts[i] : best;
  return best;
}

Error NoMemory() { return Fail(Errc::kInternal, "zstd", "no memory for zstd"); }

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

BlockCodec::BlockCodec()
    : zstd_(std::make_unique<Zstd>()), planes_(kEncodedBlockBytes), low_(kEncodedBlockBytes / 2) {}

BlockCodec::~BlockCodec() = default;

// A plane that zstd does not make smaller is kept as it is; one of zeros takes nothing.
Result<size_t> BlockCodec::AppendPlane(ConstBytes plane, int level, size_t end) {
  if (AllZero(plane)) return 0;
  const size_t length = ZSTD_compressCCtx(zstd_->compress.get(), block_.data() + end,
                                          plane.size() - 1, plane.data(), plane.size(), level);
  if (ZSTD_isError(length) == 0) return length;
  if (ZSTD_getErrorCode(length) == ZSTD_error_memory_allocation) return NoMemory();
  std::memcpy(block_.data() + end, plane.data(), plane.size());
  return plane.size();
}

Result<ConstBytes> BlockCodec::Encode(const NumberLayout& layout, ConstBytes raw, ConstBytes base) {
  if (!zstd_->compress) zstd_->compress.reset(ZSTD_createCCtx());
  if (!zstd_->compress) return NoMemory();
  const size_t count = raw.size() / layout.width;
  const int level = layout.kind == NumberKind::kBytes ? kFileLevel : kPlaneLevel;
  SplitDifference(layout, raw.data(), OrZeros(base), count, planes_.data());
  const ConstBytes planes = ConstBytes(planes_).first(raw.size());
  const size_t shift =
      layout.kind == NumberKind::kBytes ? 0 : BestShift(layout.width, count, planes);
  if (shift > 0) ShiftPlanes(shift, layout.width, count, planes_.data(), low_.data());
  const size_t head = HeadBytes(layout), packed = PackedBytes(shift, count);
  block_.resize(head + packed + raw.size());
  StoreLe(block_.data(), static_cast<uint32_t>(shift));
  std::copy_n(low_.begin(), packed, block_.begin() + static_cast<std::ptrdiff_t>(head));
  size_t end = head + packed;
  for (size_t p = 0; p < layout.width; ++p) {
    SIGNUM_ASSIGN(const size_t length, AppendPlane(planes.subspan(p * count, count), level, end));
    StoreLe(block_.data() + (p + 1) * kFieldBytes, static_cast<uint32_t>(length));
    end += length;
  }
  return ConstBytes(block_).first(end);
}

Result<void> BlockCodec::TakePlane(size_t length, ConstBytes& rest, MutableBytes plane) {
  if (length > plane.size() || length > rest.size()) return Bad("a plane is too long");
  if (length == 0) {
    std::memset(plane.data(), 0, plane.size());
  } else if (length == plane.size()) {
    std::memcpy(plane.data(), rest.data(), length);
  } else if (ZSTD_decompressDCtx(zstd_->decompress.get(), plane.data(), plane.size(), rest.data(),
                                 length) != plane.size()) {  // an error code is no such number
    return Bad("zstd does not give the plane back");
  }
  rest = rest.subspan(length);
  return {};
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
  for (size_t p = 0; p < layout.width; ++p) {
    const auto length = LoadLe<uint32_t>(block.data() + (p + 1) * kFieldBytes);
    SIGNUM_TRY(TakePlane(length, rest, MutableBytes(planes_).subspan(p * count, count)));
  }
  if (!rest.empty()) return Bad("bytes after its last plane");
  if (shift > 0) UnshiftPlanes(shift, layout.width, count, low, planes_.data());
  JoinDifference(layout, planes_.data(), OrZeros(base), count, raw.data());
  return {};
}

}  // namespace signum
