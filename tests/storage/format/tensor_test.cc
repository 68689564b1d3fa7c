#include "storage/format/tensor.h"

#include <gtest/gtest.h>

namespace signum {
namespace {

TEST(Dtype, KeepsItsPersistedNumbersNamesAndSizes) {
  const std::pair<const char*, size_t> expected[] = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},   {"F8_E5M2", 1}, {"F8_E4M3", 1}, {"I16", 2},
      {"U16", 2},  {"F16", 2}, {"BF16", 2}, {"I32", 4},     {"U32", 4},     {"F32", 4},
      {"F64", 8},  {"I64", 8}, {"U64", 8},  {"F8_E8M0", 1}, {"C64", 8}};
  for (size_t i = 0; i < std::size(expected); ++i) {
    const auto dtype = static_cast<Dtype>(i);
    EXPECT_EQ(DtypeName(dtype), expected[i].first);
    EXPECT_EQ(DtypeSize(dtype), expected[i].second);
    EXPECT_EQ(DtypeFromName(expected[i].first), dtype);
  }
  for (const char* bad : {"", "f32", "F4", "BF16 "}) EXPECT_FALSE(DtypeFromName(bad)) << bad;
}

TEST(Dtype, KnowsTheFloatsThatDifferencesAreTakenOf) {
  for (int i = 0; i <= static_cast<int>(Dtype::kC64); ++i) {
    const auto dtype = static_cast<Dtype>(i);
    const std::string_view name = DtypeName(dtype);
    EXPECT_EQ(IsFloat(dtype), name == "F64" || name == "F32" || name == "F16" || name == "BF16");
  }
}

TEST(TensorInfo, CountsElements) {
  EXPECT_EQ((TensorInfo{"s", Dtype::kF32, {}}.bytes()), 4U);
  EXPECT_EQ((TensorInfo{"m", Dtype::kBF16, {3, 5}}.bytes()), 30U);
  EXPECT_EQ((TensorInfo{"e", Dtype::kF64, {3, 0}}.elements()), 0U);
  EXPECT_EQ((TensorInfo{"m", Dtype::kBF16, {3, 5}}.Describe()), "BF16 [3, 5]");
}

class Names final : public CheckpointSource {
 public:
  explicit Names(std::vector<std::string> names) {
    for (auto& name : names) tensors_.push_back({std::move(name), Dtype::kF32, {}});
  }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  Result<std::shared_ptr<const ByteSource>> Open(size_t) const override { return nullptr; }
  std::optional<Digest> KnownDigest(size_t) const override { return std::nullopt; }

 private:
  std::vector<TensorInfo> tensors_;
};

TEST(CheckpointSource, FindsByName) {
  const Names names({"a", "b", "d"});
  EXPECT_EQ(names.Find("a"), 0U);
  EXPECT_EQ(names.Find("d"), 2U);
  EXPECT_FALSE(names.Find("c"));
  EXPECT_FALSE(names.Find("e"));
  EXPECT_FALSE(Names({}).Find(""));
}

}  // namespace
}  // namespace signum
