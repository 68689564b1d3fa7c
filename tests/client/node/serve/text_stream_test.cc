#include "client/node/serve/text_stream.h"

#include <gtest/gtest.h>

#include "storage/base/file.h"

namespace signum::client {
namespace {

// Pieces by id.
class FakeTokenizer final : public Tokenizer {
 public:
  explicit FakeTokenizer(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {}
  std::vector<int32_t> Encode(std::string_view, Controls) const override { return {}; }
  std::vector<int32_t> EncodeRest(std::string_view) const override { return {}; }
  std::vector<ControlToken> FindControls(std::string_view, size_t, size_t) const override {
    return {};
  }
  std::string Piece(int32_t token) const override { return pieces_[static_cast<size_t>(token)]; }
  int32_t Find(std::string_view) const override { return -1; }
  int32_t bos() const override { return -1; }
  int32_t eos() const override { return -1; }
  int64_t size() const override { return static_cast<int64_t>(pieces_.size()); }
  bool blank_first() const override { return true; }

 private:
  std::vector<std::string> pieces_;
};

// What a stream says token by token, and at the end.
std::vector<std::string> Say(const std::vector<std::string>& pieces,
                             const std::vector<std::string>& stops, bool* stopped = nullptr) {
  TextStream stream(std::make_shared<FakeTokenizer>(pieces), stops);
  std::vector<std::string> out;
  for (size_t i = 0; i < pieces.size(); ++i) out.push_back(stream.Push(static_cast<int32_t>(i)));
  out.push_back(stream.Finish());
  if (stopped != nullptr) *stopped = stream.stopped();
  return out;
}

using Texts = std::vector<std::string>;

TEST(TextStream, SaysEachTokenAsItComes) {
  EXPECT_EQ(Say({" In", " the", ""}, {}), (Texts{" In", " the", "", ""}));
}

TEST(TextStream, HoldsAnUnfinishedCharacterBack) {
  EXPECT_EQ(Say({"a\xf0", "\x9f\x98", "\x80!"}, {}), (Texts{"a", "", "\xf0\x9f\x98\x80!", ""}));
  EXPECT_EQ(Say({"\xe4\xb8"}, {}), (Texts{"", "\xef\xbf\xbd"}));  // never finished
}

TEST(TextStream, BytesThatAreNoCharacterAreReplaced) {
  EXPECT_EQ(Say({"a\xff", "b"}, {}), (Texts{"a\xef\xbf\xbd", "b", ""}));
  EXPECT_EQ(Say({"\xe4", "x"}, {}), (Texts{"", "\xef\xbf\xbdx", ""}));
  EXPECT_EQ(Say({"\xed\xa0\x80"}, {}),  // half a surrogate pair
            (Texts{"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", ""}));
}

TEST(TextStream, EndsBeforeAStopString) {
  bool stopped = false;
  EXPECT_EQ(Say({"one EN", "D two", " three"}, {"END"}, &stopped), (Texts{"one ", "", "", ""}));
  EXPECT_TRUE(stopped);
  EXPECT_EQ(Say({"xab"}, {"b", "a"}), (Texts{"x", ""}));  // the first of them in the text
}

TEST(TextStream, WhatOnlyLooksLikeAStopIsSaidLater) {
  bool stopped = true;
  EXPECT_EQ(Say({"one E", "N", "OUGH"}, {"END"}, &stopped), (Texts{"one ", "", "ENOUGH", ""}));
  EXPECT_FALSE(stopped);
  EXPECT_EQ(Say({"one E"}, {"END"}), (Texts{"one ", "E"}));
}

TEST(TextStream, DropsTheFirstBlankWhereAsked) {
  TextStream stream(std::make_shared<FakeTokenizer>(Texts{" Hi", " you"}), {});
  stream.DropFirstBlank();
  EXPECT_EQ(stream.Push(0), "Hi");
  EXPECT_EQ(stream.Push(1), " you");
}

TEST(TextStream, WithoutATokenizerThereIsNoText) {
  TextStream stream(nullptr, {"x"});
  EXPECT_EQ(stream.Push(5), "");
  EXPECT_EQ(stream.Finish(), "");
}

}  // namespace
}  // namespace signum::client
