#include "gpu/merged_adapter.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/gpu/codec_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

const std::string kName = "model.layers.0.mlp.up_proj.weight";
const std::string kModule = "base_model.model.model.layers.0.mlp.up_proj";
constexpr std::string_view kConfig = R"({"peft_type":"LORA","r":2,"lora_alpha":6,"bias":"none"})";

std::shared_ptr<const Checkpoint> MakeAdapter(const std::string& module, Dtype dtype, uint64_t rows,
                                              uint64_t columns, std::vector<float> a = {}) {
  if (a.empty()) a = RandomValues(2 * columns, 5, 0.1F);
  const auto b = RandomValues(rows * 2, 6, 0.1F);
  const std::string weights =
      MakeSafetensors({MakeTensor(module + ".lora_A.weight", dtype, {2, columns}, a),
                       MakeTensor(module + ".lora_B.weight", dtype, {rows, 2}, b)});
  return *Checkpoint::ParseFineTune({{"adapter_config.json", Source(std::string(kConfig))},
                                     {"adapter_model.safetensors", Source(weights)}});
}

TestCheckpoint MakeBase(Dtype dtype) {
  return MakeCheckpoint({MakeTensor(kName, dtype, {20, 30}, RandomValues(600, 1, 1)),
                         MakeTensor("model.norm.weight", dtype, {30}, RandomValues(30, 2, 1))});
}

TEST(MergedAdapter, ADeltaOfItGivesItBackBitForBit) {
  for (Dtype base_dtype : {Dtype::kF64, Dtype::kF32, Dtype::kF16, Dtype::kBF16}) {
    for (Dtype dtype : {Dtype::kF32, Dtype::kBF16, Dtype::kF16}) {
      const TestCheckpoint base = MakeBase(base_dtype);
      const auto merged =
          MergeAdapter(base.checkpoint->files(), *MakeAdapter(kModule, dtype, 20, 30)).value();
      const TestCheckpoint fine = Hashed(merged.checkpoint);
      CompressOptions options;
      options.factors = merged.factors;
      const TempDir dir;
      const TestDelta delta = MakeDelta(base, fine, options, dir);
      EXPECT_EQ(delta.CodecOf(kName), Codec::kLowrank);
      EXPECT_EQ(delta.CodecOf("model.norm.weight"), Codec::kSame);
      EXPECT_EQ(delta.reader->FindPart(LoraAName(kName))->info.dtype, dtype);
      EXPECT_EQ(delta.Floats(ScaleName(kName)), std::vector<float>{3});
      const auto file = OpenRebuilder(base, delta)->OpenFile("model.safetensors");
      ASSERT_THAT(file, Ok());
      EXPECT_EQ(ReadWhole(**file), fine.File("model.safetensors"));
      EXPECT_NE(ReadWhole(**file), base.File("model.safetensors"));
    }
  }
}

TEST(MergedAdapter, CodecRawStoresTheWeights) {
  const TestCheckpoint base = MakeBase(Dtype::kBF16);
  const auto merged =
      MergeAdapter(base.checkpoint->files(), *MakeAdapter(kModule, Dtype::kF32, 20, 30)).value();
  CompressOptions options;
  options.factors = merged.factors;
  options.codec = Codec::kRaw;
  const TempDir dir;
  const TestDelta delta = MakeDelta(base, Hashed(merged.checkpoint), options, dir);
  EXPECT_EQ(delta.CodecOf(kName), Codec::kRaw);
}

TEST(MergedAdapter, WeightsThatDoNotFitAreNamed) {
  const TestCheckpoint base = MakeBase(Dtype::kBF16);
  const auto& files = base.checkpoint->files();
  EXPECT_THAT(MergeAdapter(files, *MakeAdapter(kModule + "2", Dtype::kF32, 20, 30)),
              FailsWith(Errc::kUnusable, "architecture_mismatch", "up_proj2.weight"));
  EXPECT_THAT(MergeAdapter(files, *MakeAdapter(kModule, Dtype::kF32, 20, 31)),
              FailsWith(Errc::kUnusable, "architecture_mismatch", "[20, 31]"));
  EXPECT_THAT(MergeAdapter(files, *MakeAdapter("base_model.model.model.norm", Dtype::kF32, 30, 1)),
              FailsWith(Errc::kUnusable, "architecture_mismatch", "model.norm.weight"));
}

TEST(MergedAdapter, FactorsThatAreNotFiniteAreRefused) {
  const TestCheckpoint base = MakeBase(Dtype::kBF16);
  std::vector<float> a(60, 1);
  a[7] = std::numeric_limits<float>::infinity();
  const auto merged =
      MergeAdapter(base.checkpoint->files(), *MakeAdapter(kModule, Dtype::kF32, 20, 30, a)).value();
  CompressOptions options;
  options.factors = merged.factors;
  const TempDir dir;
  EXPECT_THAT(Compress(base, Hashed(merged.checkpoint), options, dir / "a"),
              FailsWith(Errc::kUnusable, "not_finite", "up_proj"));
}

}  // namespace
}  // namespace signum
