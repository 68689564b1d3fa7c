#include "client/capi/tensor_table.h"

#include <gtest/gtest.h>

#include "storage/format/recipe.h"
#include "tests/support/result_matchers.h"
#include "tests/support/temp_dir.h"

// The codec plan of a delta that has every codec.

namespace signum::client {
namespace {

class TensorTableTest : public testing::Test {
 protected:
  void Add(const std::string& name, Dtype dtype, std::vector<uint64_t> shape,
           const std::string& bytes = {}) {
    const TensorInfo info{name, dtype, std::move(shape)};
    const std::string zeros(info.bytes(), '\0');
    ASSERT_THAT(writer_->Add(info, AsBytes(bytes.empty() ? zeros : bytes)), Ok());
  }
  void AddEveryCodec() {
    const std::string recipe = Recipe{}.Serialize();
    Add("signum.recipe", Dtype::kU8, {recipe.size()}, recipe);
    for (const std::string plane : {"", ".1"}) {
      Add("planes.sign" + plane, Dtype::kU8, {4, 2});
      Add("planes.scale.row" + plane, Dtype::kF32, {4});
      Add("planes.scale.col" + plane, Dtype::kF32, {9});
    }
    Add("sparse.mask", Dtype::kU8, {4, 1}, std::string("\1\0\0\0", 4));
    Add("sparse.sign", Dtype::kU8, {1});
    Add("sparse.scale", Dtype::kF32, {1});
    Add("vocabulary.rows", Dtype::kI32, {2}, std::string("\1\0\0\0\3\0\0\0", 8));
    Add("vocabulary.sign", Dtype::kU8, {1, 1});
    Add("vocabulary.scale.row", Dtype::kF32, {1});
    Add("vocabulary.values", Dtype::kBF16, {1, 8});
    Add("adapter.lora_a", Dtype::kF16, {2, 8});
    Add("adapter.lora_b", Dtype::kF16, {4, 2});
    Add("adapter.scale", Dtype::kF32, {1});
    Add("norm", Dtype::kBF16, {8});
    Add("layers.0.scale", Dtype::kF32, {3});  // a weight whose name looks like a part
    header_.codecs = {{"planes", Codec::kSign1},    {"sparse", Codec::kSign1Sparse},
                      {"vocabulary", Codec::kRows}, {"adapter", Codec::kLowrank},
                      {"norm", Codec::kRaw},        {"layers.0.scale", Codec::kRaw},
                      {"untouched", Codec::kSame}};
    header_.codec = "sign1";
    header_.scales = "row+col";
    ASSERT_TRUE(writer_->Finish(header_).has_value());
    auto file = MappedFile::Open(dir_ / "delta");
    ASSERT_THAT(file, Ok());
    auto reader = DeltaReader::Open(*file, "delta");
    ASSERT_THAT(reader, Ok());
    delta_ = *reader;
  }
  static const signum_weight& WeightOf(const TensorTable& table, std::string_view name) {
    for (const signum_weight& weight : table.weights()) {
      if (weight.name == name) return weight;
    }
    throw std::out_of_range(std::string(name));
  }

  TempDir dir_;
  std::unique_ptr<DeltaWriter> writer_ = DeltaWriter::Create(dir_ / "delta").value();
  DeltaHeader header_;
  std::shared_ptr<const DeltaReader> delta_;
};

TEST_F(TensorTableTest, EveryPartIsWhereItsWeightSays) {
  AddEveryCodec();
  const TensorTable table(OutlineOf(*delta_), {delta_->file()->View().data()});
  ASSERT_EQ(table.tensors().size(), 19u);
  ASSERT_EQ(table.weights().size(), 7u);
  const auto name = [&](int32_t index) -> std::string {
    return index < 0 ? "-" : table.tensors().at(static_cast<size_t>(index)).name;
  };
  const signum_weight& planes = WeightOf(table, "planes");
  EXPECT_EQ(planes.codec, SIGNUM_CODEC_SIGN1);
  EXPECT_EQ(planes.planes, 2);
  EXPECT_EQ(name(planes.sign[0]), "planes.sign");
  EXPECT_EQ(name(planes.sign[1]), "planes.sign.1");
  EXPECT_EQ(name(planes.row_scale[1]), "planes.scale.row.1");
  EXPECT_EQ(name(planes.col_scale[1]), "planes.scale.col.1");
  EXPECT_EQ(name(planes.sign[2]) + name(planes.scale[0]) + name(planes.whole), "---");
  const signum_weight& sparse = WeightOf(table, "sparse");
  EXPECT_EQ(name(sparse.mask) + name(sparse.sign[0]) + name(sparse.scale[0]),
            "sparse.masksparse.signsparse.scale");
  const signum_weight& rows = WeightOf(table, "vocabulary");
  EXPECT_EQ(rows.codec, SIGNUM_CODEC_ROWS);
  EXPECT_EQ(name(rows.rows), "vocabulary.rows");
  EXPECT_EQ(name(rows.values), "vocabulary.values");
  const signum_weight& adapter = WeightOf(table, "adapter");
  EXPECT_EQ(name(adapter.lora_a), "adapter.lora_a");
  EXPECT_EQ(name(adapter.lora_b), "adapter.lora_b");
  EXPECT_EQ(name(adapter.scale[0]), "adapter.scale");
  EXPECT_EQ(adapter.planes, 0);
  EXPECT_EQ(name(WeightOf(table, "norm").whole), "norm");
  EXPECT_EQ(name(WeightOf(table, "layers.0.scale").whole), "layers.0.scale");
  EXPECT_EQ(WeightOf(table, "untouched").codec, SIGNUM_CODEC_SAME);
  EXPECT_EQ(name(WeightOf(table, "untouched").whole), "-");
}

TEST_F(TensorTableTest, LayoutsAndAddresses) {
  AddEveryCodec();
  const TensorTable table(OutlineOf(*delta_), {delta_->file()->View().data()});
  const auto find = [&](const char* name) { return **table.Find(name); };
  EXPECT_EQ(find("planes.sign.1").layout, SIGNUM_LAYOUT_ROW_BITS);
  EXPECT_EQ(find("planes.sign.1").plane, 1);
  EXPECT_EQ(find("sparse.mask").layout, SIGNUM_LAYOUT_ROW_BITS);
  EXPECT_EQ(find("sparse.sign").layout, SIGNUM_LAYOUT_BITS);
  EXPECT_EQ(find("vocabulary.values").layout, SIGNUM_LAYOUT_DENSE);
  EXPECT_EQ(find("signum.recipe").part, SIGNUM_PART_FILE);
  EXPECT_STREQ(find("signum.recipe").weight, "");
  EXPECT_EQ(find("vocabulary.rows").rank, 1);
  EXPECT_EQ(static_cast<const int32_t*>(find("vocabulary.rows").data)[1], 3);
  EXPECT_EQ(find("vocabulary.values").shape[1], 8);
  EXPECT_EQ(find("vocabulary.values").dtype, SIGNUM_BF16);
  EXPECT_EQ(table.Find("nothing").error().reason, "no_such_tensor");
}

}  // namespace
}  // namespace signum::client
