#include "storage/base/bytes.h"

#include <gtest/gtest.h>

namespace signum {
namespace {

TEST(Bytes, HexIsLowerCase) {
  EXPECT_EQ(HexEncode(AsBytes(std::string_view("\x00\xff\x1a", 3))), "00ff1a");
}

// RFC 4648 §10.
TEST(Base64, EncodesAndDecodesTheVectorsOfTheRfc) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, encoded] : vectors) {
    EXPECT_EQ(Base64Encode(AsBytes(plain)), encoded);
    std::string decoded = "old";
    EXPECT_TRUE(Base64Decode(encoded, &decoded)) << encoded;
    EXPECT_EQ(decoded, plain);
  }
}

TEST(Base64, TakesOneSpellingOnly) {
  for (const char* bad : {"Zg=", "Zg", "Zh==", "Zg==\n", " Zg==", "Zm9v====", "====", "    ",
                          "=   ", "   =", "Z===", "Zm9-", "Zm9v\nZm9v", "Zg==Zg=="}) {
    std::string out;
    EXPECT_FALSE(Base64Decode(bad, &out)) << "'" << bad << "'";
  }
}

TEST(Bytes, LoadsUnalignedLittleEndian) {
  const char bytes[] = "\x00\x01\x02\x03\x04";
  EXPECT_EQ(LoadLe<uint32_t>(bytes + 1), 0x04030201U);
  char out[5] = {};
  StoreLe<uint16_t>(out + 1, 0xabcd);
  EXPECT_EQ(std::string(out, 5), std::string("\0\xcd\xab\0\0", 5));
}

}  // namespace
}  // namespace signum
