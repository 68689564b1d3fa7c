#include "storage/format/byte_planes.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "storage/base/bytes.h"

namespace signum {
namespace {

const NumberLayout kLayouts[] = {
    {NumberKind::kBytes, 1},   {NumberKind::kInteger, 1}, {NumberKind::kInteger, 2},
    {NumberKind::kInteger, 4}, {NumberKind::kInteger, 8}, {NumberKind::kFloat, 1},
    {NumberKind::kFloat, 2},   {NumberKind::kFloat, 4},   {NumberKind::kFloat, 8},
};

// The best implementation again, whatever a test forced.
class BytePlanes : public testing::Test {
 protected:
  ~BytePlanes() override { ForcePlanesSimd(""); }

  std::vector<std::byte> Random(size_t size) {
    std::vector<std::byte> bytes(size);
    for (std::byte& byte : bytes) byte = static_cast<std::byte>(random_());
    return bytes;
  }

  std::mt19937_64 random_{7};
};

uint64_t Load(const std::byte* from, size_t width) {
  uint64_t value = 0;
  std::memcpy(&value, from, width);
  return value;
}

__extension__ using Wide = __int128;  // nothing below overflows it

// FORMAT.md's formula, in arithmetic on wide integers instead of bits: numbers as signed ones in
// their order, their difference brought back to n bits, zigzag by cases.
uint64_t Zigzag(uint64_t fine, uint64_t base, const NumberLayout& layout) {
  const size_t bits = 8 * size_t{layout.width};
  const Wide range = static_cast<Wide>(1) << bits;
  const auto as_signed = [&](uint64_t x) -> Wide {
    const bool negative = (x >> (bits - 1) & 1) != 0;
    if (!negative) return x;
    if (layout.kind == NumberKind::kInteger) return static_cast<Wide>(x) - range;
    return -static_cast<Wide>(x - static_cast<uint64_t>(range / 2)) - 1;
  };
  Wide difference = as_signed(fine) - as_signed(base);
  if (difference < -range / 2) difference += range;
  if (difference >= range / 2) difference -= range;
  return static_cast<uint64_t>(difference >= 0 ? 2 * difference : -2 * difference - 1);
}

TEST_F(BytePlanes, AreTheDifferencesOfTheFormat) {
  for (const NumberLayout& layout : kLayouts) {
    if (layout.kind == NumberKind::kBytes) continue;
    const size_t width = layout.width, count = 1000;
    const auto fine = Random(count * width), base = Random(count * width);
    std::vector<std::byte> planes(fine.size());
    SplitDifference(layout, 0, fine.data(), base.data(), count, planes.data(), nullptr);
    for (size_t i = 0; i < count; ++i) {
      const uint64_t expected =
          Zigzag(Load(&fine[i * width], width), Load(&base[i * width], width), layout);
      for (size_t p = 0; p < width; ++p) {
        ASSERT_EQ(planes[p * count + i], static_cast<std::byte>(expected >> (8 * p)))
            << "width " << width << " number " << i << " plane " << p;
      }
    }
  }
}

TEST_F(BytePlanes, NeighboursInOrderDifferByOne) {
  // -0 lies right below +0, and equal bits differ by nothing, NaN and infinity too.
  const uint16_t pairs[][3] = {{0x0000, 0x8000, 2}, {0x8000, 0x0000, 1}, {0x3f80, 0x3f80, 0},
                               {0x7fc1, 0x7fc1, 0}, {0xff80, 0xff80, 0}, {0x7f81, 0x7f80, 2},
                               {0x8001, 0x8000, 1}, {0x7fff, 0xffff, 1}};
  for (const auto& [fine, base, zigzag] : pairs) {
    std::byte planes[2];
    SplitDifference({NumberKind::kFloat, 2}, 0, reinterpret_cast<const std::byte*>(&fine),
                    reinterpret_cast<const std::byte*>(&base), 1, planes, nullptr);
    EXPECT_EQ(Load(planes, 2), zigzag) << std::hex << fine << " " << base;
  }
}

// Where each plane of `planes` begins.
std::array<const std::byte*, kMostPlanes> PlanesOf(const std::vector<std::byte>& planes,
                                                   size_t width, size_t count) {
  std::array<const std::byte*, kMostPlanes> each{};
  for (size_t p = 0; p < width; ++p) each[p] = planes.data() + p * count;
  return each;
}

TEST_F(BytePlanes, EveryImplementationGivesTheSameBitsAndTheNumbersBack) {
  ASSERT_EQ(PlanesSimdNames().front(), "scalar");
  for (const NumberLayout& layout : kLayouts) {
    for (const size_t count : {0, 1, 7, 15, 16, 17, 63, 64, 65, 127, 300, 1023, 5000, 8192, 9001}) {
      for (const size_t shift : {0, 1, 2, 4}) {
        if (layout.kind == NumberKind::kBytes && shift > 0) continue;
        // Nothing is aligned, and nothing past the end may be read or written.
        const auto fine = Random(count * layout.width), base = Random(count * layout.width);
        const size_t packed = PackedBytes(shift, count);
        std::vector<std::byte> expected(fine.size() + 1), expected_low(packed + 1);
        ASSERT_TRUE(ForcePlanesSimd("scalar"));
        SplitDifference(layout, shift, fine.data(), base.data(), count, expected.data(),
                        expected_low.data());
        for (const std::string& name : PlanesSimdNames()) {
          ASSERT_TRUE(ForcePlanesSimd(name)) << name;
          std::vector<std::byte> planes(fine.size() + 1), low(packed + 1), again(fine.size() + 1);
          SplitDifference(layout, shift, fine.data(), base.data(), count, planes.data(),
                          low.data());
          EXPECT_TRUE(planes == expected && low == expected_low)
              << name << " width " << int{layout.width} << " count " << count << " shift " << shift;
          JoinDifference(layout, shift, PlanesOf(planes, layout.width, count), low.data(),
                         base.data(), count, again.data());
          EXPECT_TRUE(std::equal(fine.begin(), fine.end(), again.begin()))
              << name << " width " << int{layout.width} << " count " << count << " shift " << shift;
          EXPECT_EQ(again.back(), std::byte{0});
        }
      }
    }
  }
}

TEST_F(BytePlanes, ShiftingMovesTheLowBitsOut) {
  for (const size_t width : {1, 2, 4, 8}) {
    const NumberLayout layout{NumberKind::kFloat, static_cast<uint8_t>(width)};
    for (const size_t shift : {1, 2, 4}) {
      for (const size_t count : {1, 5, 63, 64, 200, 1027}) {
        const auto fine = Random(count * width), base = Random(count * width);
        const size_t packed = PackedBytes(shift, count);
        std::vector<std::byte> planes(fine.size()), low(packed);
        SplitDifference(layout, shift, fine.data(), base.data(), count, planes.data(), low.data());
        for (size_t i = 0; i < count; ++i) {
          const uint64_t z =
              Zigzag(Load(&fine[i * width], width), Load(&base[i * width], width), layout);
          uint64_t high = 0;
          for (size_t p = 0; p < width; ++p) {
            high |= static_cast<uint64_t>(planes[p * count + i]) << (8 * p);
          }
          const uint64_t mask = (1u << shift) - 1;
          const uint64_t bits = static_cast<uint64_t>(low[i % packed]) >> (i / packed * shift);
          ASSERT_EQ(high, z >> shift) << "width " << width << " shift " << shift << " " << i;
          ASSERT_EQ(bits & mask, z & mask) << "width " << width << " shift " << shift << " " << i;
        }
      }
    }
  }
}

TEST_F(BytePlanes, AnUnknownImplementationIsRefused) {
  EXPECT_FALSE(ForcePlanesSimd("mmx"));
  EXPECT_TRUE(ForcePlanesSimd(""));
}

}  // namespace
}  // namespace signum
