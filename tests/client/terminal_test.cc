#include "client/terminal.h"

#include <gtest/gtest.h>

namespace signum::client {
namespace {

TEST(TerminalTest, SaysSizesForPeople) {
  EXPECT_EQ(HumanBytes(0), "0 B");
  EXPECT_EQ(HumanBytes(1023), "1023 B");
  EXPECT_EQ(HumanBytes(1536), "1.5 KiB");
  EXPECT_EQ(HumanBytes(uint64_t{5} << 30), "5.0 GiB");
  EXPECT_EQ(HumanBytes(UINT64_MAX), "16384.0 PiB");
}

TEST(TerminalTest, AlignsColumns) {
  Table table({"NAME", "N"});
  table.Add({"a", "1"});
  table.Add({"longer", "22"});
  EXPECT_EQ(table.Format(), "NAME    N\na       1\nlonger  22\n");
}

}  // namespace
}  // namespace signum::client
