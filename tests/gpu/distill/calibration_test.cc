#include "gpu/distill/calibration.h"

#include <gtest/gtest.h>

#include "storage/base/file.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

std::string Data(const std::string& path) {
  return *ReadFile(std::string(SIGNUM_TEST_DATA) + "/" + path, 1 << 24);
}

void ExpectRefused(const Result<TokenRows>& rows, const std::string& reason,
                   const std::string& part) {
  ASSERT_TRUE(rows.has_error());
  EXPECT_EQ(rows.error().code, Errc::kUnusable);
  EXPECT_EQ(rows.error().reason, reason);
  EXPECT_NE(rows.error().message.find(part), std::string::npos) << rows.error().message;
}

TEST(ParseTokenRows, ReadsRowsOfIds) {
  const auto rows = ParseTokenRows("1 2 3\r\n\n4,5,\t6\n");
  ASSERT_TRUE(rows.has_value());
  EXPECT_EQ(rows->tokens, 3);
  EXPECT_EQ(rows->ids, (std::vector<int32_t>{1, 2, 3, 4, 5, 6}));
  const auto held_out = ParseTokenRows(Data("text/kjv.eval.tokens"));
  EXPECT_EQ(held_out->tokens, 129);
  EXPECT_EQ(held_out->count(), 48);
}

TEST(ParseTokenRows, SaysWhatIsWrongAndWhere) {
  ExpectRefused(ParseTokenRows(""), "no_tokens", "no token ids");
  ExpectRefused(ParseTokenRows("\n \n"), "no_tokens", "no token ids");
  ExpectRefused(ParseTokenRows("1 2\n3 x4\n"), "bad_tokens", "line 2: 'x4'");
  ExpectRefused(ParseTokenRows("1 -2\n"), "bad_tokens", "line 1: '-2'");
  ExpectRefused(ParseTokenRows("1 99999999999\n"), "bad_tokens", "99999999999");
  ExpectRefused(ParseTokenRows("1 2 3\n4 5\n"), "bad_tokens", "line 2: 2 tokens");
  ExpectRefused(ParseTokenRows("1\n"), "bad_tokens", "two or more");
}

TEST(TokenizeText, CutsTextIntoRows) {
  const auto tokenizer =
      Tokenizer::Open("tokenizer.model", Data("tiny-llama/kjv/tokenizer.model")).value();
  const auto rows = TokenizeText(*tokenizer, Data("text/kjv.calib.txt"), 129, 4096);
  ASSERT_TRUE(rows.has_value()) << rows.error().message;
  EXPECT_EQ(rows->tokens, 129);
  EXPECT_GT(rows->count(), 100);
  for (const int32_t id : rows->ids) ASSERT_TRUE(id >= 0 && id < 4096);
}

TEST(TokenizeText, SaysWhatIsWrong) {
  const auto tokenizer =
      Tokenizer::Open("tokenizer.model", Data("tiny-llama/kjv/tokenizer.model")).value();
  ExpectRefused(TokenizeText(*tokenizer, "", 129, 4096), "no_tokens", "0 tokens");
  ExpectRefused(TokenizeText(*tokenizer, "In the beginning", 129, 4096), "no_tokens",
                "a row needs 129");
  ExpectRefused(TokenizeText(*tokenizer, "In the beginning", 2, 100), "tokenizer_mismatch", "4096");
}

}  // namespace
}  // namespace signum
