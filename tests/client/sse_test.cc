#include "client/sse.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/result_matchers.h"

namespace signum::client {
namespace {

std::vector<SseEvent> Parse(std::string_view stream, size_t piece) {
  std::vector<SseEvent> events;
  SseParser parser([&](const SseEvent& event) -> Result<void> {
    events.push_back(event);
    return {};
  });
  for (; !stream.empty(); stream.remove_prefix(std::min(piece, stream.size()))) {
    EXPECT_THAT(parser.Take(stream.substr(0, piece)), Ok());
  }
  return events;
}

TEST(SseParserTest, ReadsEventsInPiecesOfAnySize) {
  constexpr std::string_view kStream =
      ": keep-alive\n\n"
      "id: 7\r\nevent: change\r\ndata: {\"a\":1}\r\n\r\n"
      "data:one\ndata: two\n\n"
      "event: end\ndata\n\n"
      "data: unfinished";
  for (const size_t piece : {1u, 2u, 5u, 1000u}) {
    const auto events = Parse(kStream, piece);
    ASSERT_EQ(events.size(), 3u) << piece;
    EXPECT_EQ(events[0].id, "7");
    EXPECT_EQ(events[0].event, "change");
    EXPECT_EQ(events[0].data, "{\"a\":1}");
    EXPECT_EQ(events[1].data, "one\ntwo");
    EXPECT_EQ(events[2].event, "end");
  }
}

TEST(SseParserTest, RefusesAnEndlessLine) {
  SseParser parser([](const SseEvent&) -> Result<void> { return {}; });
  const std::string piece(600'000, 'x');
  EXPECT_THAT(parser.Take(piece), Ok());
  EXPECT_THAT(parser.Take(piece), FailsWith(Errc::kTooLarge, "event_too_large", "1 MiB"));
}

TEST(SseParserTest, AnErrorOfTheCallbackEndsTheParse) {
  SseParser parser([](const SseEvent&) -> Result<void> {
    return Fail(Errc::kCancelled, "cancelled", "enough");
  });
  EXPECT_THAT(parser.Take("data: x\n\n"), FailsWith(Errc::kCancelled, "cancelled", "enough"));
}

}  // namespace
}  // namespace signum::client
