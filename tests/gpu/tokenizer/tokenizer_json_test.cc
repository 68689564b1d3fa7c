#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "gpu/tokenizer/tokenizer.h"
#include "storage/base/file.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

using nlohmann::json;

std::string Golden(const std::string& name) {
  const std::string folder = std::string(SIGNUM_TEST_DATA) + "/golden/tokenizers/";
  return ReadFile(folder + name, 1 << 20).value();
}

std::shared_ptr<const Tokenizer> Open(const std::string& name) {
  return Tokenizer::Open("tokenizer.json", Golden(name + ".json")).value();
}

// The golden file with `change` made to it.
template <class Change>
Result<std::shared_ptr<const Tokenizer>> Changed(const std::string& name, const Change& change) {
  json file = json::parse(Golden(name + ".json"));
  change(file);
  return Tokenizer::Open("tokenizer.json", file.dump());
}

class TokenizerJsonTest : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Kinds, TokenizerJsonTest,
                         testing::Values("llama3", "qwen2", "llama2", "mistral", "always",
                                         "gemma"));

// Whether a text has a blank of the tokenizer's own before it.
bool PutsBlank(const std::string& kind) {
  return kind == "llama2" || kind == "mistral" || kind == "always";
}

TEST_P(TokenizerJsonTest, EncodesAsHuggingFacesTokenizersDoes) {
  const auto tokenizer = Open(GetParam());
  const json cases = json::parse(Golden("cases.json")).at(GetParam());
  ASSERT_GT(cases.size(), 100u);
  for (const json& item : cases) {
    const auto text = item.at("text").get<std::string>();
    const auto ids = item.at("ids").get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer->Encode(text, Controls::kTokens), ids) << text;
    const auto plain = item.contains("plain") ? item["plain"].get<std::vector<int32_t>>() : ids;
    EXPECT_EQ(tokenizer->Encode(text), plain) << text;
  }
}

TEST_P(TokenizerJsonTest, PiecesPutTogetherAreTheText) {
  const auto tokenizer = Open(GetParam());
  const auto joined = [&](const std::string& text) {
    std::string out;
    for (const int32_t token : tokenizer->Encode(text)) out += tokenizer->Piece(token);
    return out;
  };
  const std::string blank = PutsBlank(GetParam()) ? " " : "";
  for (const std::string text : {"a  b\n", "na\xc3\xafve \xe4\xb8\xad \xf0\x9f\x98\x80!"}) {
    EXPECT_EQ(joined(text), blank + text);
  }
  EXPECT_EQ(joined("<think>x"), "<think>" + (GetParam() == "mistral" ? "" : blank) + "x");
  EXPECT_EQ(tokenizer->blank_first(), PutsBlank(GetParam()));
}

TEST_P(TokenizerJsonTest, TheRestOfATextHasNoBlankOfItsOwn) {
  const auto tokenizer = Open(GetParam());
  for (const std::string text : {"The LORD said", "\n\nx", "  two", "\xe4\xb8\xad", ""}) {
    std::string joined;
    for (const int32_t token : tokenizer->EncodeRest(text)) joined += tokenizer->Piece(token);
    EXPECT_EQ(joined, text);
  }
}

TEST(TokenizerJson, FindsAddedTokensInText) {
  const auto llama3 = Open("llama3");
  const auto found = llama3->FindControls("a<|eot_id|>\n<|eot_id|");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].id, llama3->Find("<|eot_id|>"));
  EXPECT_EQ(found[0].begin, 1u);
  EXPECT_EQ(found[0].end, 11u);
  EXPECT_EQ(llama3->EncodeRest("<|eot_id|> x"), llama3->Encode("<|eot_id|> x"));
}

TEST(TokenizerJson, ControlTokensSayNothingAndOthersTheirText) {
  const auto llama3 = Open("llama3");
  EXPECT_EQ(llama3->bos(), llama3->Find("<|begin_of_text|>"));
  EXPECT_GE(llama3->bos(), 0);
  EXPECT_EQ(llama3->Piece(llama3->bos()), "");
  EXPECT_EQ(llama3->Piece(-1), "");
  EXPECT_EQ(llama3->Piece(1 << 21), "");
  EXPECT_EQ(llama3->Find("no such token"), -1);
  EXPECT_EQ(llama3->size(), 646);
  const auto qwen2 = Open("qwen2");
  EXPECT_EQ(qwen2->bos(), -1);
  EXPECT_EQ(qwen2->Piece(qwen2->Find("<think>")), "<think>");
}

TEST(TokenizerJson, WhatIsNoUtf8IsTheReplacementCharacter) {
  const auto tokenizer = Open("qwen2");
  EXPECT_EQ(tokenizer->Encode("a\xff z\xe4\xb8"), tokenizer->Encode("a\xef\xbf\xbd z\xef\xbf\xbd"));
}

TEST(TokenizerJson, OneReadingIsShared) {
  const auto first = Open("llama3");
  EXPECT_EQ(first, Open("llama3"));
  EXPECT_NE(first, Tokenizer::Open("tokenizer.json", Golden("llama3.json"), "<|eot_id|>").value());
}

TEST(TokenizerJson, TheBeginningIsWhatTheTemplateSaysOrElseTheCaller) {
  const auto with =
      Tokenizer::Open("tokenizer.json", Golden("qwen2.json"), "<|endoftext|>").value();
  EXPECT_EQ(with->bos(), with->Find("<|endoftext|>"));
  const auto llama3 =
      Tokenizer::Open("tokenizer.json", Golden("llama3.json"), "<|eot_id|>").value();
  EXPECT_EQ(llama3->bos(), llama3->Find("<|begin_of_text|>"));
  EXPECT_THAT(Tokenizer::Open("tokenizer.json", Golden("qwen2.json"), "<s>"),
              FailsWith(Errc::kUnusable, "bad_tokenizer", "'<s>'"));
}

TEST(TokenizerJson, OlderMergesAreOneText) {
  const auto older = Changed("qwen2", [](json& file) {
    for (json& merge : file["model"]["merges"]) {
      merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    }
  });
  ASSERT_TRUE(older);
  EXPECT_EQ((*older)->Encode("In the beginning"), Open("qwen2")->Encode("In the beginning"));
}

TEST(TokenizerJson, DivisionsThatOthersHave) {
  const auto steps = [](json split) {
    return Changed("qwen2", [&](json& file) { file["pre_tokenizer"] = std::move(split); }).value();
  };
  const json level = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const auto sequence = [&](json step) {
    return steps({{"type", "Sequence"}, {"pretokenizers", {std::move(step), level}}});
  };
  json gpt2 = level;
  gpt2["use_regex"] = true;
  const std::string text = "we've 1234 fine   blanks";
  const auto one_by_one = [&](const Tokenizer& tokenizer) {
    std::string out;
    for (const int32_t token : tokenizer.Encode(text)) out += tokenizer.Piece(token);
    return out;
  };
  EXPECT_EQ(one_by_one(*steps(gpt2)), text);
  EXPECT_EQ(one_by_one(*sequence({{"type", "Digits"}, {"individual_digits", true}})), text);
  const json kept = {{"type", "Split"},
                     {"pattern", {{"Regex", "\\p{L}+"}}},
                     {"behavior", "Removed"},
                     {"invert", true}};
  EXPECT_EQ(one_by_one(*sequence(kept)), "wevefineblanks");
  // Nothing is merged across the text of a Split.
  const json string = {
      {"type", "Split"}, {"pattern", {{"String", "in"}}}, {"behavior", "Isolated"}};
  const auto cut = sequence(string)->Encode("fine");
  EXPECT_EQ(sequence(string)->Piece(cut[1]), "in");
}

// As tokenizers 0.22 does it.
TEST(TokenizerJson, SomeAddedTokensTakeTheBlanksBesideThem) {
  const auto tokenizer = Changed("qwen2", [](json& file) {
    for (json& token : file["added_tokens"]) {
      const std::string content = token["content"];
      token["lstrip"] = content == "<think>" || content == "<|im_start|>";
      token["rstrip"] = content == "<|im_end|>" || content == "<|im_start|>";
    }
  });
  ASSERT_TRUE(tokenizer);
  const std::pair<std::string, std::vector<int32_t>> cases[] = {
      {"a <|im_end|> \xe3\x80\x80\n b", {64, 220, 642, 65}},
      {"x \t<think> y", {87, 643, 386}},
      {" <|im_start|>  <|im_start|> ", {641, 641}},
      {"<|im_end|> <think>", {642, 643}},
      {"\xc2\xa0\xe2\x80\x83<think>\xc2\xa0", {643, 126, 254}},
  };
  for (const auto& [text, ids] : cases) {
    EXPECT_EQ((*tokenizer)->Encode(text, Controls::kTokens), ids) << text;
  }
}

TEST(TokenizerJson, LongWordsTakeNoSquaresOfTime) {
  // A million letters without a break: minutes, where each merge looks at the whole word.
  const std::string text(1 << 20, 'a');
  const auto tokenizer = Open("llama3");
  size_t length = 0;
  for (const int32_t token : tokenizer->Encode(text)) length += tokenizer->Piece(token).size();
  EXPECT_EQ(length, text.size());
}

TEST(TokenizerJson, HeapsOfMarksTakeNoSquaresOfTime) {
  // Marks in the order that sorting likes least.
  std::string text = "a";
  for (int i = 0; i < (1 << 18); ++i) text += i % 2 == 0 ? "\xcc\x81" : "\xcc\xa3";
  EXPECT_GT(Open("qwen2")->Encode(text).size(), text.size() / 4);
}

TEST(TokenizerJson, APatternThatRunsAwayIsGivenUp) {
  const auto tokenizer = Changed("qwen2", [](json& file) {
    file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(a|aa)+[bc]";
  });
  ASSERT_TRUE(tokenizer);
  std::string joined;
  const std::string text = std::string(5000, 'a') + " b";
  for (const int32_t token : (*tokenizer)->Encode(text)) joined += (*tokenizer)->Piece(token);
  EXPECT_EQ(joined, text);
}

TEST(TokenizerJson, RefusesWhatIsBroken) {
  const auto refused = [](const auto& change, const std::string& what) {
    EXPECT_THAT(Changed("llama3", change), FailsWith(Errc::kUnusable, "bad_tokenizer", what));
  };
  EXPECT_THAT(Tokenizer::Open("tokenizer.json", "{"),
              FailsWith(Errc::kUnusable, "bad_tokenizer", "JSON"));
  EXPECT_THAT(Tokenizer::Open("tokenizer.json", "[1]"),
              FailsWith(Errc::kUnusable, "bad_tokenizer", "object"));
  refused([](json& f) { f["model"]["vocab"] = 3; }, "vocab");
  refused([](json& f) { f["model"]["vocab"]["!"] = -1; }, "'!'");
  refused([](json& f) { f["model"]["vocab"]["!"] = uint64_t{1} << 40; }, "'!'");
  refused([](json& f) { f["model"]["merges"][7] = "x"; }, "merges[7]");
  refused([](json& f) { f["model"]["merges"][7] = {"nowhere", "found"}; }, "merges[7]");
  refused([](json& f) { f["model"].erase("merges"); }, "merges");
  refused([](json& f) { f["added_tokens"][0]["id"] = "x"; }, "added_tokens");
  refused([](json& f) { f["added_tokens"] = 1; }, "added_tokens");
}

TEST(TokenizerJson, SaysWhatIsNotSupportedWithByteFallback) {
  const auto refused = [](const char* kind, const auto& change, const std::string& what) {
    EXPECT_THAT(Changed(kind, change), FailsWith(Errc::kUnusable, "unsupported_tokenizer", what));
  };
  refused(
      "llama2", [](json& f) { f["normalizer"]["normalizers"][0]["prepend"] = "x"; }, "Prepend");
  refused(
      "llama2", [](json& f) { f["normalizer"]["normalizers"][1]["content"] = "x"; }, "Replace");
  refused(
      "llama2", [](json& f) { f["normalizer"]["normalizers"].erase(1); }, "blanks");
  refused(
      "llama2",
      [](json& f) {
        f["normalizer"] = {{"type", "NFKC"}};
      },
      "NFKC");
  refused(
      "llama2", [](json& f) { f["added_tokens"][1]["normalized"] = true; }, "<s>");
  refused(
      "mistral", [](json& f) { f["pre_tokenizer"]["replacement"] = "_"; }, "Metaspace");
  refused(
      "mistral", [](json& f) { f["pre_tokenizer"]["prepend_scheme"] = "last"; }, "Metaspace");
  refused(
      "mistral", [](json& f) { f["pre_tokenizer"]["type"] = "ByteLevel"; }, "ByteLevel");
  refused(
      "mistral",
      [](json& f) {
        f["decoder"] = {{"type", "WordPiece"}};
      },
      "WordPiece");
  refused(
      "gemma", [](json& f) { f["model"]["ignore_merges"] = true; }, "ignore_merges");
  EXPECT_THAT(Changed("gemma", [](json& f) { f["model"]["vocab"].erase("<0x0A>"); }),
              FailsWith(Errc::kUnusable, "bad_tokenizer", "byte"));
  EXPECT_THAT(Changed("gemma",
                      [](json& f) {
                        f["model"]["merges"][7] = {"no", "where"};
                      }),
              FailsWith(Errc::kUnusable, "bad_tokenizer", "merges[7]"));
}

TEST(TokenizerJson, SaysWhatIsNotSupported) {
  const auto refused = [](const auto& change, const std::string& what) {
    EXPECT_THAT(Changed("llama3", change),
                FailsWith(Errc::kUnusable, "unsupported_tokenizer", what));
  };
  refused([](json& f) { f["model"]["type"] = "Unigram"; }, "Unigram");
  refused([](json& f) { f["model"]["byte_fallback"] = true; }, "byte_fallback");
  refused([](json& f) { f["model"]["unk_token"] = "<unk>"; }, "unk_token");
  refused([](json& f) { f["normalizer"] = {{"type", "Prepend"}}; }, "Prepend");
  refused([](json& f) { f["pre_tokenizer"] = nullptr; }, "pre_tokenizer");
  refused([](json& f) { f["pre_tokenizer"] = {{"type", "Metaspace"}}; }, "Metaspace");
  refused([](json& f) { f["decoder"] = nullptr; }, "decoder");
  refused([](json& f) { f["added_tokens"][0]["single_word"] = true; }, "single_word");
  const auto pattern = [](const char* regex) {
    return [regex](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = regex; };
  };
  refused(pattern("(unclosed"), "(unclosed");
  refused(pattern("[a-z&&[^b]]"), "&&");
  refused(pattern("\\h+"), "hexadecimal");
  refused([](json& f) { f["pre_tokenizer"]["pretokenizers"][0]["behavior"] = "MergedWithNext"; },
          "MergedWithNext");
}

}  // namespace
}  // namespace signum
