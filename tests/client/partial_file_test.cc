#include "client/partial_file.h"

#include <gtest/gtest.h>

#include "tests/support/result_matchers.h"
#include "tests/support/temp_dir.h"

namespace signum::client {
namespace {

TEST(RangeJournal, RemembersHowMuchOfEachRangeIsHere) {
  TempDir dir;
  const auto path = dir / "x.part.ranges";
  {
    RangeJournal journal = RangeJournal::Open(path, 250, 100, 0).value();
    ASSERT_EQ(journal.count(), 3u);
    EXPECT_EQ(journal.length(2), 50u);
    EXPECT_THAT(journal.Note(0, 100), Ok());
    EXPECT_THAT(journal.Note(2, 20), Ok());
  }
  const RangeJournal again = RangeJournal::Open(path, 250, 100, 0).value();
  EXPECT_TRUE(again.complete(0));
  EXPECT_EQ(again.done(1), 0u);
  EXPECT_EQ(again.done(2), 20u);
  EXPECT_EQ(again.present(), 120u);
}

TEST(RangeJournal, BeginsWithWhatCameAsOne) {
  TempDir dir;
  const RangeJournal journal = RangeJournal::Open(dir / "x", 250, 100, 130).value();
  EXPECT_TRUE(journal.complete(0));
  EXPECT_EQ(journal.done(1), 30u);
  EXPECT_EQ(journal.done(2), 0u);
}

TEST(RangeJournal, WhatDoesNotFitIsForgotten) {
  TempDir dir;
  const auto path = dir / "x";
  EXPECT_THAT(RangeJournal::Open(path, 250, 100, 0)->Note(1, 50), Ok());
  EXPECT_EQ(RangeJournal::Open(path, 250, 50, 0)->present(), 0u);  // other ranges
  EXPECT_EQ(RangeJournal::Open(path, 260, 50, 0)->present(), 0u);  // another size
  EXPECT_THAT(WriteFileAtomically(path, AsBytes("not a journal")), Ok());
  EXPECT_EQ(RangeJournal::Open(path, 260, 50, 0)->present(), 0u);
  // A count that can't be is no more than the range.
  EXPECT_THAT(RangeJournal::Open(path, 260, 50, 0)->Note(5, 1'000'000), Ok());
  EXPECT_EQ(RangeJournal::Open(path, 260, 50, 0)->done(5), 10u);
}

TEST(PartialFile, AFileWithAJournalHasNoBeginning) {
  TempDir dir;
  {
    PartialFile part = PartialFile::Open(dir / "x").value();
    EXPECT_THAT(part.SetEtag("\"e\""), Ok());
    EXPECT_THAT(part.Append(AsBytes("12345")), Ok());
  }
  EXPECT_EQ(PartialFile::Open(dir / "x")->size(), 5u);
  EXPECT_THAT(RangeJournal::Open(dir / "x.part.ranges", 250, 100, 5), Ok());
  PartialFile part = PartialFile::Open(dir / "x").value();
  EXPECT_EQ(part.size(), 0u);
  EXPECT_EQ(part.etag(), "\"e\"");
  EXPECT_THAT(part.StartOver({}), Ok());
  EXPECT_FALSE(std::filesystem::exists(part.ranges_path()));
  EXPECT_EQ(part.file().Size().value(), 0u);
}

}  // namespace
}  // namespace signum::client
