#include "client/node/serve/chat_template.h"

#include <gtest/gtest.h>

#include "tests/support/result_matchers.h"

namespace signum::client {
namespace {

// A token a byte (100 + byte), markers from 1000 on; 1 and 2 begin and end.
class ByteTokenizer final : public Tokenizer {
 public:
  explicit ByteTokenizer(std::vector<std::string> markers = {}) : markers_(std::move(markers)) {}
  std::vector<int32_t> Encode(std::string_view text, Controls) const override {
    std::vector<int32_t> ids;
    for (const char c : text) ids.push_back(100 + static_cast<unsigned char>(c));
    return ids;
  }
  std::string Piece(int32_t token) const override {
    if (token == 1) return "<s>";
    if (token == 2) return "</s>";
    if (token >= 1000) return "{" + markers_[static_cast<size_t>(token - 1000)] + "}";
    return {static_cast<char>(token - 100)};
  }
  int32_t Find(std::string_view piece) const override {
    for (size_t i = 0; i < markers_.size(); ++i) {
      if (markers_[i] == piece) return static_cast<int32_t>(1000 + i);
    }
    return -1;
  }
  int32_t bos() const override { return 1; }
  int32_t eos() const override { return 2; }
  int64_t size() const override { return 2000; }
  bool blank_first() const override { return true; }

 private:
  std::vector<std::string> markers_;
};

// The prompt as text; tokens of markers in braces.
std::string Applied(ChatTemplate which, const Tokenizer& tokenizer,
                    const std::vector<ChatMessage>& messages) {
  std::string out;
  for (const int32_t id : ApplyChatTemplate(which, tokenizer, messages).value()) {
    out += tokenizer.Piece(id);
  }
  return out;
}

const std::vector<ChatMessage> kTalk{
    {"system", "S"}, {"user", "U"}, {"assistant", "A"}, {"user", "V"}};

TEST(ChatTemplate, IsKnownByItsMarkers) {
  EXPECT_EQ(DetectChatTemplate(""), ChatTemplate::kNone);
  EXPECT_EQ(DetectChatTemplate("{{ '<|im_start|>' + role }}"), ChatTemplate::kChatml);
  EXPECT_EQ(DetectChatTemplate("{{ '[INST] ' }}"), ChatTemplate::kLlama2);
  EXPECT_EQ(DetectChatTemplate("<|start_header_id|>"), ChatTemplate::kLlama3);
  EXPECT_EQ(DetectChatTemplate("### Instruction:"), ChatTemplate::kUnknown);
}

TEST(ChatTemplate, Llama2) {
  EXPECT_EQ(Applied(ChatTemplate::kLlama2, ByteTokenizer(), kTalk),
            "<s>[INST] <<SYS>>\nS\n<</SYS>>\n\nU [/INST] A </s><s>[INST] V [/INST]");
}

TEST(ChatTemplate, Chatml) {
  EXPECT_EQ(Applied(ChatTemplate::kChatml, ByteTokenizer({"<|im_start|>", "<|im_end|>"}),
                    {{"user", "U"}}),
            "{<|im_start|>}user\nU{<|im_end|>}\n{<|im_start|>}assistant\n");
  EXPECT_EQ(Applied(ChatTemplate::kChatml, ByteTokenizer(), {{"user", "U"}}),
            "<|im_start|>user\nU<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, Llama3) {
  const ByteTokenizer tokenizer({"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"});
  EXPECT_EQ(Applied(ChatTemplate::kLlama3, tokenizer, {{"user", "U"}}),
            "<s>{<|start_header_id|>}user{<|end_header_id|>}\n\nU{<|eot_id|>}"
            "{<|start_header_id|>}assistant{<|end_header_id|>}\n\n");
  EXPECT_EQ(EndOfTurn(ChatTemplate::kLlama3, tokenizer), 1002);
}

TEST(ChatTemplate, MarkersInAMessageAreText) {
  const ByteTokenizer tokenizer({"<|im_start|>", "<|im_end|>"});
  const std::string prompt = Applied(ChatTemplate::kChatml, tokenizer, {{"user", "<|im_end|>"}});
  EXPECT_NE(prompt.find("user\n<|im_end|>{<|im_end|>}"), prompt.npos);
}

TEST(ChatTemplate, RefusesWhatItCannotWrite) {
  const ByteTokenizer tokenizer;
  EXPECT_THAT(ApplyChatTemplate(ChatTemplate::kNone, tokenizer, kTalk),
              FailsWith(Errc::kInvalid, "no_chat_template", "/v1/completions"));
  EXPECT_THAT(ApplyChatTemplate(ChatTemplate::kUnknown, tokenizer, kTalk),
              FailsWith(Errc::kInvalid, "no_chat_template", "ChatML"));
  EXPECT_THAT(ApplyChatTemplate(ChatTemplate::kLlama2, tokenizer, {{"assistant", "A"}}),
              FailsWith(Errc::kInvalid, "bad_messages", "turns"));
  EXPECT_THAT(
      ApplyChatTemplate(ChatTemplate::kLlama2, tokenizer, {{"user", "U"}, {"assistant", "A"}}),
      FailsWith(Errc::kInvalid, "bad_messages", "the last"));
  EXPECT_THAT(ApplyChatTemplate(ChatTemplate::kChatml, tokenizer, {{"tool", "T"}}),
              FailsWith(Errc::kInvalid, "bad_messages", "tool"));
}

}  // namespace
}  // namespace signum::client
