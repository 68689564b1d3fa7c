#include "storage/format/pickle.h"

#include <gtest/gtest.h>

#include "tests/storage/format/format_support.h"

namespace signum {
namespace {

bool IsPickle(std::string_view path, std::string bytes) {
  return IsPickleFile(path, *Source(std::move(bytes))).value();
}

TEST(IsPickleFile, KnowsEveryProtocolAndContainer) {
  const std::string protocol2("\x80\x02}q\0.", 6);
  std::string tar(512, '\0');
  tar.replace(257, 5, "ustar");
  for (const char* name :
       {"pytorch_model.bin", "a/model.pt", "m.pth", "m.ckpt", "m.pkl", "m.pickle"}) {
    EXPECT_TRUE(IsPickle(name, protocol2)) << name;
    EXPECT_TRUE(IsPickle(name, "\x80\x05\x95.")) << name;
    EXPECT_TRUE(IsPickle(name, "cos\nsystem\n(S'true'\ntR.")) << name;  // protocol 0
    EXPECT_TRUE(IsPickle(name, "(dp0\n.")) << name;
    EXPECT_TRUE(IsPickle(name, "}q\x01.")) << name;  // protocol 1
    EXPECT_TRUE(IsPickle(name, "PK\x03\x04rest")) << name;
    EXPECT_TRUE(IsPickle(name, tar)) << name;
  }
}

TEST(IsPickleFile, LetsOtherFilesBe) {
  EXPECT_FALSE(IsPickle("vocab.bin", "\x01\x02\x03"));
  EXPECT_FALSE(IsPickle("vocab.bin", ""));
  EXPECT_FALSE(IsPickle("vocab.pt", "\x80"));
  EXPECT_FALSE(IsPickle("vocab.pt", "\x80\x06xx"));
  EXPECT_FALSE(IsPickle("README.md", "(see below)."));
  EXPECT_FALSE(IsPickle("archive.zip", "PK\x03\x04rest"));
}

}  // namespace
}  // namespace signum
