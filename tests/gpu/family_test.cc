// The small Llama family, compressed and rebuilt through the public interface.

#include <gtest/gtest.h>

#include "gpu/kernels/simd.h"
#include "gpu/tensor_class.h"
#include "tests/gpu/codec_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

class FamilyTest : public testing::TestWithParam<std::string> {};

TEST_P(FamilyTest, LinearWeightsTakeOneBit) {
  const TestCheckpoint base = OpenTiny("base");
  const TestCheckpoint fine = OpenTiny(GetParam());
  const TempDir dir;
  const TestDelta delta = MakeDelta(base, fine, {}, dir);
  size_t linear = 0;
  for (const ManifestTensor& tensor : delta.summary.tensors) {
    if (ClassifyTensor(tensor.info) != TensorClass::kLinear) continue;
    ++linear;
    EXPECT_EQ(tensor.codec, Codec::kSign1) << tensor.info.name;
    const uint64_t scales = 4 * (tensor.info.shape[0] + tensor.info.shape[1]);
    EXPECT_EQ(tensor.stored_bytes, tensor.info.elements() / 8 + scales) << tensor.info.name;
  }
  EXPECT_EQ(linear, 28U);  // 4 layers of 4 attention and 3 MLP matrices
  EXPECT_EQ(delta.CodecOf("model.embed_tokens.weight"), Codec::kRows);
  EXPECT_EQ(delta.CodecOf("model.norm.weight"), Codec::kRaw);
}

TEST_P(FamilyTest, RebuiltWeightsEqualTheFormula) {
  const TestCheckpoint base = OpenTiny("base");
  const TempDir dir;
  const TestDelta delta = MakeDelta(base, OpenTiny(GetParam()), {}, dir);
  const auto rebuilder = OpenRebuilder(base, delta);
  for (const ManifestTensor& tensor : delta.summary.tensors) {
    if (tensor.codec != Codec::kSign1) continue;
    const std::string& name = tensor.info.name;
    const uint64_t k = tensor.info.shape[1];
    const auto base_bytes = *base.checkpoint->Open(*base.checkpoint->Find(name));
    const std::vector<float> before = Values(tensor.info, AsBytes(ReadWhole(*base_bytes)));
    const std::string sign = delta.Bytes(SignName(name));
    const std::vector<float> row = delta.Floats(RowScaleName(name));
    const std::vector<float> col = delta.Floats(ColScaleName(name));
    std::vector<float> expected(before.size());
    for (size_t e = 0; e < expected.size(); ++e) {
      const size_t i = e / k;
      const size_t j = e % k;
      const bool bit = (sign[i * ((k + 7) / 8) + j / 8] >> (j % 8)) & 1;
      const float s = row[i] * col[j];
      expected[e] = bit ? before[e] + s : before[e] - s;
    }
    EXPECT_EQ(ReadWhole(**rebuilder->OpenTensor(name)),
              MakeTensor(name, tensor.info.dtype, tensor.info.shape, expected).data)
        << name;
  }
}

TEST_P(FamilyTest, FilesKeepNamesSizesAndHeaders) {
  const TestCheckpoint base = OpenTiny("base");
  const TestCheckpoint fine = OpenTiny(GetParam());
  const TempDir dir;
  const TestDelta delta = MakeDelta(base, fine, {}, dir);
  const auto rebuilder = OpenRebuilder(base, delta);
  for (const RecipeFile& file : fine.hashed.recipe.files) {
    const std::string rebuilt = ReadWhole(**rebuilder->OpenFile(file.path));
    const std::string uploaded = fine.File(file.path);
    ASSERT_EQ(rebuilt.size(), uploaded.size());
    const size_t exact = file.safetensors ? file.header_size : file.size;
    EXPECT_EQ(rebuilt.substr(0, exact), uploaded.substr(0, exact)) << file.path;
  }
  EXPECT_THAT(rebuilder->OpenFile("absent"), FailsWith(Errc::kNotFound, "unknown_file", "absent"));
}

INSTANTIATE_TEST_SUITE_P(All, FamilyTest, testing::Values("kjv", "pysrc", "sqlite"),
                         [](const auto& test) { return test.param; });

TEST(Family, BytesDoNotDependOnThreadsOrInstructions) {
  const TestCheckpoint base = OpenTiny("base");
  const TestCheckpoint fine = OpenTiny("kjv");
  const TempDir dir;
  CompressOptions options;
  options.threads = 1;
  const Digest expected = MakeDelta(base, fine, options, dir).summary.sealed.digest;
  for (int threads : {2, 5}) {
    options.threads = threads;
    EXPECT_EQ(MakeDelta(base, fine, options, dir).summary.sealed.digest, expected);
  }
  for (const std::string& simd : kernels::SimdNames()) {
    const WithSimd forced(simd);
    EXPECT_EQ(MakeDelta(base, fine, options, dir).summary.sealed.digest, expected) << simd;
  }
}

}  // namespace
}  // namespace signum
