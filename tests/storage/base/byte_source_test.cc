#include "storage/base/byte_source.h"

#include <gtest/gtest.h>

#include "tests/support/result_matchers.h"

namespace signum {
namespace {

std::shared_ptr<const ByteSource> Memory(std::string_view text) {
  return std::make_shared<MemorySource>(std::string(text));
}

std::string ReadText(const ByteSource& source, uint64_t offset, size_t size) {
  std::string out(size, '?');
  const auto read = source.Read(offset, {reinterpret_cast<std::byte*>(out.data()), size});
  return read ? out : "error: " + read.error().reason;
}

TEST(CheckRange, DoesNotWrapAround) {
  EXPECT_THAT(CheckRange(0, 5, 5), Ok());
  EXPECT_THAT(CheckRange(5, 0, 5), Ok());
  EXPECT_THAT(CheckRange(6, 0, 5), FailsWith(Errc::kInvalid, "out_of_range", "6"));
  EXPECT_THAT(CheckRange(3, UINT64_MAX - 1, 5), FailsWith(Errc::kInvalid, "out_of_range", ""));
}

TEST(MemorySource, ReadsWithinItsBytes) {
  const auto source = Memory("hello");
  EXPECT_EQ(ReadText(*source, 1, 3), "ell");
  EXPECT_EQ(ReadText(*source, 5, 0), "");
  EXPECT_EQ(ReadText(*source, 3, 3), "error: out_of_range");
  EXPECT_EQ(AsText(source->View()), "hello");
}

TEST(ByteSource, HoldsWhatIsThere) {
  const auto source = Memory("hello");
  EXPECT_EQ(AsText(source->Hold(1, 3)->bytes), "ell");
  EXPECT_EQ(AsText(source->Hold(1, 99)->bytes), "ello");
  EXPECT_THAT(source->Hold(5, 1), FailsWith(Errc::kInvalid, "out_of_range", ""));
  const SliceSource slice(source, 1, 3);
  EXPECT_EQ(AsText(slice.Hold(1, 99)->bytes), "ll");  // though the whole has one more
  EXPECT_THAT(slice.Hold(3, 1), FailsWith(Errc::kInvalid, "out_of_range", ""));
}

TEST(SliceSource, IsAWindow) {
  const SliceSource slice(Memory("hello world"), 6, 4);
  EXPECT_EQ(slice.size(), 4U);
  EXPECT_EQ(ReadText(slice, 1, 3), "orl");
  EXPECT_EQ(ReadText(slice, 1, 4), "error: out_of_range");  // though the whole has one more
  EXPECT_EQ(AsText(slice.View()), "worl");
}

TEST(ConcatSource, ReadsAcrossItsParts) {
  const ConcatSource source({Memory(""), Memory("ab"), Memory(""), Memory("cde"), Memory("")});
  EXPECT_EQ(source.size(), 5U);
  for (size_t from = 0; from <= 5; ++from) {
    for (size_t size = 0; from + size <= 5; ++size) {
      EXPECT_EQ(ReadText(source, from, size), std::string("abcde").substr(from, size));
    }
  }
  EXPECT_EQ(ReadText(source, 4, 2), "error: out_of_range");
  EXPECT_EQ(ConcatSource({}).size(), 0U);
}

TEST(ReadAll, KeepsTheLimit) {
  EXPECT_EQ(ReadAll(*Memory("hello"), 5).value(), "hello");
  EXPECT_THAT(ReadAll(*Memory("hello"), 4), FailsWith(Errc::kTooLarge, "too_large", "5"));
}

}  // namespace
}  // namespace signum
