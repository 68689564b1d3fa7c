#include "storage/format/encoded_object.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <zstd.h>

#include <random>

#include "tests/storage/format/format_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

std::mt19937_64& Chance() {
  static std::mt19937_64 random(11);
  return random;
}

std::string RandomText(size_t size) {
  std::string text(size, '\0');
  for (char& c : text) c = static_cast<char>(Chance()());
  return text;
}

// `base` with about one number of eight moved by a little, as training does.
std::string Tuned(std::string base, size_t width) {
  for (size_t i = 0; i + width <= base.size(); i += width) {
    if (Chance()() % 8 == 0) base[i] = static_cast<char>(base[i] + Chance()() % 5);
  }
  return base;
}

struct Made {
  std::string encoded;
  EncodeResult result;
};

Made Encode(const std::string& raw, const NumberLayout& layout, const std::string* base) {
  Made made;
  std::unique_ptr<MemorySource> source;
  if (base != nullptr) source = std::make_unique<MemorySource>(*base);
  const auto sink = [&](ConstBytes piece) -> Result<void> {
    made.encoded.append(AsText(piece));
    return {};
  };
  const auto result = EncodeObject(MemorySource(raw), layout, source.get(), sink, {});
  EXPECT_THAT(result, Ok());
  if (result.has_value()) made.result = *result;
  return made;
}

Result<std::shared_ptr<const EncodedObject>> Open(const std::string& encoded,
                                                  const std::string* base,
                                                  std::shared_ptr<BlockCache> cache = nullptr) {
  return EncodedObject::Open(Source(encoded), base != nullptr ? Source(*base) : nullptr,
                             Sha256::Of(AsBytes("it")), std::move(cache));
}

Result<std::string> ReadBack(const std::string& encoded, const std::string* base) {
  SIGNUM_ASSIGN(const auto object, Open(encoded, base));
  return ReadAll(*object, 64 << 20);
}

void ExpectRoundTrip(const std::string& raw, const NumberLayout& layout, const std::string* base) {
  const Made made = Encode(raw, layout, base);
  EXPECT_EQ(made.result.size, made.encoded.size());
  EXPECT_EQ(made.result.digest, Sha256::Of(AsBytes(raw)));
  const auto back = ReadBack(made.encoded, base);
  ASSERT_THAT(back, Ok());
  EXPECT_TRUE(*back == raw) << raw.size() << " bytes, width " << int{layout.width};
}

constexpr size_t kB = kEncodedBlockBytes;

TEST(EncodedObject, GivesEveryDtypeBack) {
  for (int i = 0; i <= static_cast<int>(Dtype::kC64); ++i) {
    const auto dtype = static_cast<Dtype>(i);
    const NumberLayout layout = LayoutOf(dtype);
    for (const size_t elements : {size_t{0}, size_t{1}, size_t{3}, size_t{1001}, kB / 8 + 3}) {
      const std::string base = RandomText(elements * DtypeSize(dtype));
      ExpectRoundTrip(Tuned(base, layout.width), layout, &base);
      ExpectRoundTrip(RandomText(base.size()), layout, &base);  // NaN, infinity, -0: all patterns
      ExpectRoundTrip(Tuned(base, layout.width), layout, nullptr);
    }
  }
  ExpectRoundTrip(std::string(3 * kB + 77, 'x'), {}, nullptr);
}

TEST(EncodedObject, TakesABaseOfAnotherLength) {
  const NumberLayout layout{NumberKind::kFloat, 2};
  const std::string base = RandomText(kB + 5000);
  const std::string longer = Tuned(base, 2) + RandomText(2 * kB);  // a grown vocabulary
  ExpectRoundTrip(longer, layout, &base);
  ExpectRoundTrip(longer.substr(0, 4000), layout, &base);
}

TEST(EncodedObject, EveryBitPatternOfAHalfComesBack) {
  std::string all(2 * 65536, '\0');
  for (size_t i = 0; i < 65536; ++i) StoreLe(all.data() + 2 * i, static_cast<uint16_t>(i));
  std::string shifted = all.substr(7000) + all.substr(0, 7000);
  for (const NumberKind kind : {NumberKind::kInteger, NumberKind::kFloat}) {
    ExpectRoundTrip(all, {kind, 2}, &shifted);
    ExpectRoundTrip(all, {kind, 2}, nullptr);
  }
}

TEST(EncodedObject, AnEqualObjectTakesNextToNothingAndNoiseNoMoreThanItself) {
  const std::string base = RandomText(4 * kB);
  const NumberLayout layout{NumberKind::kFloat, 2};
  EXPECT_LT(Encode(base, layout, &base).encoded.size(), 200);
  const std::string noise = RandomText(4 * kB);
  EXPECT_LT(Encode(noise, layout, &base).encoded.size(), noise.size() + 200);
}

TEST(EncodedObject, ReadsAnyRange) {
  const std::string base = RandomText(3 * kB + 4000);
  const std::string raw = Tuned(base, 4);
  const Made made = Encode(raw, {NumberKind::kFloat, 4}, &base);
  for (const bool cached : {false, true}) {
    const auto object =
        Open(made.encoded, &base, cached ? std::make_shared<BlockCache>(2) : nullptr);
    ASSERT_THAT(object, Ok());
    for (int i = 0; i < 200; ++i) {
      const size_t begin = Chance()() % raw.size();
      const size_t size = Chance()() % (raw.size() - begin + 1);
      std::string out(size, '\0');
      ASSERT_THAT((*object)->Read(begin, {reinterpret_cast<std::byte*>(out.data()), size}), Ok());
      ASSERT_TRUE(out == raw.substr(begin, size)) << begin << "+" << size;
    }
    std::byte past[1];
    EXPECT_THAT((*object)->Read(raw.size(), past), FailsWith(Errc::kInvalid, "out_of_range", ""));
  }
}

TEST(EncodedObject, ARangeReadsOnlyTheBlocksItTouches) {
  const std::string raw = RandomText(16 * kB);
  const auto source =
      std::make_shared<CountingSource>(Encode(raw, {NumberKind::kFloat, 2}, nullptr).encoded);
  const auto object = EncodedObject::Open(source, nullptr, Digest(), nullptr);
  ASSERT_THAT(object, Ok());
  const uint64_t opening = source->read();
  EXPECT_LT(opening, 1000);  // footer and index
  std::byte out[100];
  ASSERT_THAT((*object)->Read(5 * kB + 17, out), Ok());
  EXPECT_LT(source->read() - opening, kB + 100);
}

TEST(EncodedObject, AnObjectOfAnotherBaseIsRefused) {
  const std::string base = RandomText(kB + 100), other = RandomText(kB + 100);
  const Made made = Encode(Tuned(base, 2), {NumberKind::kFloat, 2}, &base);
  EXPECT_THAT(ReadBack(made.encoded, &other),
              FailsWith(Errc::kCorrupt, "bad_encoding", "block 0 does not match its checksum"));
  EXPECT_THAT(Open(made.encoded, nullptr), FailsWith(Errc::kCorrupt, "bad_encoding", "base"));
}

TEST(EncodedObject, EveryFlippedBitIsFound) {
  const std::string base = RandomText(3000);
  const std::string raw = Tuned(base, 2);
  const Made made = Encode(raw, {NumberKind::kFloat, 2}, &base);
  for (size_t bit = 0; bit < 8 * made.encoded.size(); ++bit) {
    std::string damaged = made.encoded;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << bit % 8));
    const auto back = ReadBack(damaged, &base);
    // A bit that zstd does not need may change without harm; other bytes may never come out.
    if (back.has_value()) {
      ASSERT_TRUE(*back == raw) << "bit " << bit;
    } else {
      ASSERT_THAT(back, FailsWith(Errc::kCorrupt, "bad_encoding", ""));
    }
  }
}

TEST(EncodedObject, EveryTruncationIsRefused) {
  const Made made = Encode(RandomText(5000), {NumberKind::kFloat, 2}, nullptr);
  for (size_t size = 0; size < made.encoded.size(); ++size) {
    EXPECT_FALSE(ReadBack(made.encoded.substr(0, size), nullptr)) << size;
  }
}

// An object of one block with this content, whose index and footer are right.
std::string Crafted(const std::string& block, uint64_t raw_size, const NumberLayout& layout,
                    const Fletcher& sums) {
  std::string tail(20 + 32, '\0');
  StoreLe(tail.data(), static_cast<uint32_t>(block.size()));
  StoreLe(tail.data() + 4, sums.a);
  StoreLe(tail.data() + 12, sums.b);
  StoreLe(tail.data() + 20, raw_size);
  StoreLe(tail.data() + 28, uint8_t{1});
  StoreLe(tail.data() + 29, layout);
  StoreLe(tail.data() + 32, uint32_t{0x314f4553});
  tail[31] = 0;
  const Fletcher of = Fletcher::Of(AsBytes(tail.substr(0, 36)));
  StoreLe(tail.data() + 36, of.a);
  StoreLe(tail.data() + 44, of.b);
  return block + tail;
}

// The head of a block of one plane.
std::string Head(uint32_t length, uint32_t shift = 0) {
  std::string text(8, '\0');
  StoreLe(text.data(), shift);
  StoreLe(text.data() + 4, length);
  return text;
}

TEST(EncodedObject, ABombIsRefusedBeforeItGrows) {
  std::string bomb(ZSTD_compressBound(64 << 20), '\0');
  bomb.resize(
      ZSTD_compress(bomb.data(), bomb.size(), std::string(64 << 20, 'x').data(), 64 << 20, 1));
  ASSERT_LT(bomb.size(), 20'000);  // 64 MiB
  const std::string block = Head(bomb.size()) + bomb;
  EXPECT_THAT(ReadBack(Crafted(block, kB, {}, {}), nullptr),
              FailsWith(Errc::kCorrupt, "bad_encoding", "zstd does not give the plane back"));
  // A size that the index does not bear out is refused when it is opened.
  EXPECT_THAT(Open(Crafted(block, uint64_t{1} << 60, {}, {}), nullptr),
              FailsWith(Errc::kCorrupt, "bad_encoding", "too short for its index"));
}

// A frame decodes into the plane's own room: what it says of sizes and windows takes no memory.
TEST(EncodedObject, WhatAFrameClaimsTakesNoMemory) {
  const std::string magic("\x28\xb5\x2f\xfd", 4);
  const auto frame = [&](uint8_t descriptor, uint8_t window, uint64_t size, size_t size_bytes) {
    std::string head = magic + static_cast<char>(descriptor);
    if ((descriptor & 0x20) == 0) head += static_cast<char>(window);
    head.append(reinterpret_cast<const char*>(&size), size_bytes);
    return head + std::string(
                      "\x03\x00\x00"
                      "n",
                      4);  // one block: a byte, no times
  };
  std::string skipped("\x50\x2a\x4d\x18\xff\xff\xff\xff", 8);  // four gigabytes
  std::string many;                                            // of frames that give a byte each
  for (int i = 0; i < 30'000; ++i)
    many += frame(0x20, 0, 1, 1).substr(0, 6) + std::string("\x0b\x00\x00n", 4);
  for (const std::string& lies :
       {frame(0xe0, 0, uint64_t{1} << 60, 8), frame(0xc0, 0xff, uint64_t{1} << 40, 8),
        frame(0x00, 0xff, 0, 0), skipped, skipped + std::string(500, '\0'), many}) {
    const std::string block = Head(static_cast<uint32_t>(lies.size())) + lies;
    struct rusage before = {}, after = {};
    getrusage(RUSAGE_SELF, &before);
    EXPECT_THAT(ReadBack(Crafted(block, kB, {}, {}), nullptr),
                FailsWith(Errc::kCorrupt, "bad_encoding", ""));
    getrusage(RUSAGE_SELF, &after);
    EXPECT_LT(after.ru_maxrss - before.ru_maxrss, 16 * 1024);  // KiB
  }
}

TEST(EncodedObject, LengthsThatLieAreRefused) {
  const std::string raw(1000, 'r');
  const Fletcher sums = Fletcher::Of(AsBytes(raw));
  EXPECT_EQ(*ReadBack(Crafted(Head(1000) + raw, 1000, {}, sums), nullptr), raw);
  const auto refused = [&](const std::string& block, uint64_t size, const char* why) {
    EXPECT_THAT(ReadBack(Crafted(block, size, {}, sums), nullptr),
                FailsWith(Errc::kCorrupt, "bad_encoding", why));
  };
  refused(Head(1000) + raw.substr(1), 1000, "a plane is too long");
  refused(Head(1001) + raw + "r", 1000, "a plane is too long");
  refused(Head(1000) + raw + "r", 1000, "bytes after its last plane");
  refused("abcdefg", 1000, "too short");
  refused(Head(1000, 3) + raw, 1000, "its shift");
  refused(Head(1000, 2) + raw, 1000, "its shift");  // bytes have none
  refused(Head(0), 1000, "does not match its checksum");
  refused(Head(kB + 5) + std::string(kB + 5, 'r'), kB + 5, "index");
  EXPECT_THAT(ReadBack(Crafted(Head(0, 4) + raw.substr(501), 1000, {NumberKind::kInteger, 1}, sums),
                       nullptr),
              FailsWith(Errc::kCorrupt, "bad_encoding", "too short"));
  EXPECT_THAT(Open(Crafted(Head(1000) + raw, 1000, {NumberKind::kBytes, 2}, sums), nullptr),
              FailsWith(Errc::kCorrupt, "bad_encoding", "layout"));
  EXPECT_THAT(Open(Crafted(Head(1000) + raw, 999, {NumberKind::kFloat, 2}, sums), nullptr),
              FailsWith(Errc::kCorrupt, "bad_encoding", "layout"));
}

TEST(EncodedObject, ABaseMayBeEncodedItself) {
  const std::string base = RandomText(2 * kB + 10), raw = Tuned(base, 2);
  const NumberLayout layout{NumberKind::kFloat, 2};
  const auto below = Open(Encode(base, layout, nullptr).encoded, nullptr);
  ASSERT_THAT(below, Ok());
  const auto object =
      EncodedObject::Open(Source(Encode(raw, layout, &base).encoded), *below, Digest(), nullptr);
  ASSERT_THAT(object, Ok());
  EXPECT_TRUE(*ReadAll(**object, 64 << 20) == raw);
}

TEST(EncodedObject, StopsWhenAskedAndPassesOnWhatTheSinkSays) {
  const MemorySource raw(RandomText(4 * kB));
  const auto fine = [](ConstBytes) -> Result<void> { return {}; };
  EXPECT_THAT(EncodeObject(raw, {}, nullptr, fine, [](uint64_t done) { return done < 2 * kB; }),
              FailsWith(Errc::kCancelled, "cancelled", ""));
  const auto full = [](ConstBytes) -> Result<void> {
    return Fail(Errc::kExhausted, "disk_full", "no room");
  };
  EXPECT_THAT(EncodeObject(raw, {}, nullptr, full, {}),
              FailsWith(Errc::kExhausted, "disk_full", ""));
}

}  // namespace
}  // namespace signum
