#include "storage/format/log_chain.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/support/result_matchers.h"

namespace signum {
namespace {

using nlohmann::json;

// An export of `count` entries from `first` on.
json Export(uint64_t first, size_t count) {
  json entries = json::array();
  std::string previous = first == 1 ? "" : std::string(64, 'a');
  for (size_t i = 0; i < count; ++i) {
    LogEntry entry;
    entry.seq = first + i;
    entry.at = 1'700'000'000'000'123 + static_cast<int64_t>(i);
    entry.who = "admin";
    entry.action = "alias.set";
    entry.target = "acme/chat@live -> " + std::to_string(i);
    entry.result = "ok";
    entry.previous = previous;
    previous = entry.hash = entry.Hash();
    entries.push_back({{"seq", entry.seq},
                       {"at", FormatTime(entry.at)},
                       {"who", entry.who},
                       {"action", entry.action},
                       {"target", entry.target},
                       {"from", ""},
                       {"result", entry.result},
                       {"request_id", ""},
                       {"hash", entry.hash},
                       {"previous", entry.previous}});
  }
  return {{"entries", entries}, {"next", nullptr}};
}

Result<void> Verify(const json& document, LogChain chain) {
  SIGNUM_ASSIGN(const auto entries, ParseLogExport(document.dump()));
  for (const LogEntry& entry : entries) SIGNUM_TRY(chain.Add(entry));
  return {};
}

auto Broken(const char* text) { return FailsWith(Errc::kCorrupt, "log_broken", text); }

TEST(LogChain, AWholeLogAndAPartAreGood) {
  EXPECT_THAT(Verify(Export(1, 5), LogChain::Whole()), Ok());
  EXPECT_THAT(Verify(Export(40, 5), LogChain::Part()), Ok());
  EXPECT_THAT(Verify(Export(1, 0), LogChain::Whole()), Ok());
  EXPECT_THAT(Verify(Export(40, 5), LogChain::Whole()), Broken("entry 1 is missing"));
}

TEST(LogChain, NamesTheFirstThatDoesNotFit) {
  for (const char* field : {"who", "action", "target", "from", "result", "request_id"}) {
    json changed = Export(1, 5);
    changed["entries"][2][field] = "mallory";
    EXPECT_THAT(Verify(changed, LogChain::Whole()), Broken("entry 3 was changed")) << field;
  }
  json time = Export(1, 5);
  time["entries"][2]["at"] = "2020-01-01T00:00:00.000000Z";
  EXPECT_THAT(Verify(time, LogChain::Whole()), Broken("entry 3 was changed"));
  json gone = Export(1, 5);
  gone["entries"].erase(2);
  EXPECT_THAT(Verify(gone, LogChain::Whole()), Broken("entry 3 is missing"));
  json rehashed = Export(1, 5);
  rehashed["entries"][2]["previous"] = std::string(64, 'b');
  EXPECT_THAT(Verify(rehashed, LogChain::Whole()), Broken("entry 3 does not follow"));
}

TEST(LogChain, WhatIsNoLogIsSaidToBeNone) {
  for (const char* text : {"", "[]", "{}", "{\"entries\":3}"}) {
    EXPECT_THAT(ParseLogExport(text), FailsWith(Errc::kCorrupt, "bad_log", "")) << text;
  }
  json lacking = Export(1, 3);
  lacking["entries"][1].erase("who");
  EXPECT_THAT(ParseLogExport(lacking.dump()), Broken("entry 2 lacks 'who'"));
  json timeless = Export(1, 3);
  timeless["entries"][1]["at"] = "yesterday";
  EXPECT_THAT(ParseLogExport(timeless.dump()), Broken("entry 2"));
  json numberless = Export(1, 3);
  numberless["entries"][1]["seq"] = -1;
  EXPECT_THAT(ParseLogExport(numberless.dump()), Broken("entry 2 has no number"));
}

}  // namespace
}  // namespace signum
