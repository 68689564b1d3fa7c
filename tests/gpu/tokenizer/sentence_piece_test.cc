#include "gpu/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "storage/base/file.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

std::shared_ptr<const Tokenizer> Open() {
  const std::string path = std::string(SIGNUM_TEST_DATA) + "/tiny-llama/base/tokenizer.model";
  return Tokenizer::Open("tokenizer.model", ReadFile(path, 1 << 20).value()).value();
}

TEST(SentencePiece, EncodesAsSentencePieceInPythonDoes) {
  std::ifstream file(std::string(SIGNUM_TEST_DATA) + "/golden/greedy.json");
  const auto golden = nlohmann::json::parse(file);
  const auto tokenizer = Open();
  for (const auto& prompt : golden["prompts"]) {
    std::vector<int32_t> ids = tokenizer->Encode(prompt["text"].get<std::string>());
    ids.insert(ids.begin(), tokenizer->bos());
    EXPECT_EQ(ids, prompt["ids"].get<std::vector<int32_t>>());
  }
}

TEST(SentencePiece, PiecesPutTogetherAreTheText) {
  const auto tokenizer = Open();
  for (const std::string text :
       {"The LORD said", "a  b", "x\n\ty", "na\xc3\xafve \xe4\xb8\xad \xf0\x9f\x98\x80!"}) {
    std::string joined;
    for (const int32_t token : tokenizer->Encode(text)) joined += tokenizer->Piece(token);
    EXPECT_EQ(joined, " " + text);
  }
}

TEST(SentencePiece, TheRestOfATextHasNoBlankOfItsOwn) {
  const auto tokenizer = Open();
  for (const std::string text : {"The LORD said", "[INST] x", "\n\nx", "  two", ""}) {
    std::string joined;
    for (const int32_t token : tokenizer->EncodeRest(text)) joined += tokenizer->Piece(token);
    EXPECT_EQ(joined, text);
    if (!text.empty()) {
      EXPECT_EQ(tokenizer->EncodeRest(" " + text), tokenizer->Encode(text));
    }
  }
}

TEST(SentencePiece, FindsControlPiecesInText) {
  const auto found = Open()->FindControls("<s>a</s></s> <unk><s");
  ASSERT_EQ(found.size(), 3u);
  EXPECT_EQ(found[0].id, 1);
  EXPECT_EQ(found[1].id, 2);
  EXPECT_EQ(found[1].begin, 4u);
  EXPECT_EQ(found[2].end, 12u);
}

TEST(SentencePiece, ByteFallbackIsOneByteAToken) {
  const auto tokenizer = Open();
  const int32_t token = tokenizer->Find("<0xF0>");
  ASSERT_GE(token, 0);
  EXPECT_EQ(tokenizer->Piece(token), "\xf0");
}

TEST(SentencePiece, ControlTokensAndForeignIdsSayNothing) {
  const auto tokenizer = Open();
  EXPECT_EQ(tokenizer->bos(), 1);
  EXPECT_EQ(tokenizer->eos(), 2);
  EXPECT_EQ(tokenizer->size(), 4096);
  EXPECT_EQ(tokenizer->Piece(1), "");
  EXPECT_EQ(tokenizer->Piece(-1), "");
  EXPECT_EQ(tokenizer->Piece(4096), "");
  EXPECT_EQ(tokenizer->Find("<|im_end|>"), -1);
}

TEST(SentencePiece, HasTheTokensThatWereAdded) {
  const std::string path = std::string(SIGNUM_TEST_DATA) + "/tiny-llama/base/tokenizer.model";
  const std::string model = ReadFile(path, 1 << 20).value();
  const auto tokenizer = Tokenizer::Open("tokenizer.model", model, "", R"([
    {"id": 4097, "content": "<|im_end|>", "special": true}, {"id": 4098, "content": "<tool>"}])");
  ASSERT_TRUE(tokenizer);
  EXPECT_EQ((*tokenizer)->size(), 4099);
  EXPECT_EQ((*tokenizer)->Find("<|im_end|>"), 4097);
  EXPECT_EQ((*tokenizer)->Piece(4097), "");
  EXPECT_EQ((*tokenizer)->Piece(4098), "<tool>");
  EXPECT_EQ((*tokenizer)->FindControls("</s><|im_end|> <tool>").size(), 3u);
  // What people say is text.
  EXPECT_EQ((*tokenizer)->Encode("x<|im_end|>"), Open()->Encode("x<|im_end|>"));
  EXPECT_NE(*tokenizer, Open());
  EXPECT_THAT(Tokenizer::Open("tokenizer.model", model, "", "{}"),
              FailsWith(Errc::kUnusable, "bad_tokenizer", "added"));
}

TEST(SentencePiece, RefusesWhatIsNoModel) {
  EXPECT_THAT(Tokenizer::Open("tokenizer.model", "no protobuf"),
              FailsWith(Errc::kUnusable, "bad_tokenizer", ""));
}

}  // namespace
}  // namespace signum
