// What compression and rebuilding refuse, and that nothing is left behind.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <limits>

#include "tests/gpu/codec_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

const std::string kName = "model.layers.0.mlp.up_proj.weight";

class WrongInputTest : public testing::Test {
 protected:
  Result<CompressSummary> Run(const std::vector<TestTensor>& fine,
                              const CompressOptions& options = {}) {
    return Compress(base_, MakeCheckpoint(fine), options, dir_ / "a.delta");
  }
  void ExpectNothingLeft() const {
    EXPECT_TRUE(std::filesystem::is_empty(dir_.path())) << "files were left behind";
  }
  static TestTensor Weights(const std::string& name, std::vector<float> values) {
    const uint64_t rows = values.size() / 64;
    return MakeTensor(name, Dtype::kF32, {rows, 64}, values);
  }

  TempDir dir_;
  std::vector<float> values_ = RandomValues(4096, 1, 1);
  TestCheckpoint base_ =
      MakeCheckpoint({Weights(kName, values_), Weights("lm_head.weight", values_),
                      Counting({"norm", Dtype::kF32, {64}})});
};

TEST_F(WrongInputTest, NotFiniteNamesTheTensor) {
  for (float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    auto values = RandomValues(4096, 2, 1);
    values[1234] = bad;
    EXPECT_THAT(Run({Weights(kName, values)}), FailsWith(Errc::kUnusable, "not_finite", kName));
    EXPECT_THAT(Run({Weights("lm_head.weight", values)}),
                FailsWith(Errc::kUnusable, "not_finite", "lm_head.weight"));
    EXPECT_THAT(Run({Weights("extra.weight", values)}),
                FailsWith(Errc::kUnusable, "not_finite", "extra.weight"));
    const TestTensor norm = MakeTensor("norm", Dtype::kF32, {64}, std::vector<float>(64, bad));
    EXPECT_THAT(Run({norm}), FailsWith(Errc::kUnusable, "not_finite", "norm"));
    auto grown = values_;
    grown.resize(4096 + 64, bad);
    EXPECT_THAT(Run({Weights("lm_head.weight", grown)}),
                FailsWith(Errc::kUnusable, "not_finite", "lm_head.weight"));
    ExpectNothingLeft();
  }
}

TEST_F(WrongInputTest, NotFiniteIsExactWhereAllowed) {
  auto values = RandomValues(4096, 2, 1);
  values[7] = std::numeric_limits<float>::quiet_NaN();
  const TestCheckpoint fine = MakeCheckpoint({Weights(kName, values)});
  CompressOptions options;
  options.allow_not_finite = true;
  const TestDelta delta = MakeDelta(base_, fine, options, dir_);
  EXPECT_EQ(delta.CodecOf(kName), Codec::kRaw);
  EXPECT_EQ(ReadWhole(**OpenRebuilder(base_, delta)->OpenFile("model.safetensors")),
            fine.File("model.safetensors"));
}

// Differences so large that scales would overflow are kept exact rather than turned to infinity.
TEST_F(WrongInputTest, HugeDifferencesAreExact) {
  auto values = RandomValues(4096, 2, 1e37F);
  const TestCheckpoint fine = MakeCheckpoint({Weights(kName, values)});
  const TestDelta delta = MakeDelta(base_, fine, {}, dir_);
  EXPECT_EQ(delta.CodecOf(kName), Codec::kRaw);
}

TEST_F(WrongInputTest, OtherShapes) {
  EXPECT_THAT(Run({MakeTensor(kName, Dtype::kF32, {128, 32}, values_)}),
              FailsWith(Errc::kUnusable, "architecture_mismatch", kName));
  EXPECT_THAT(Run({MakeTensor(kName, Dtype::kF32, {65, 64}, RandomValues(65 * 64, 1, 1))}),
              FailsWith(Errc::kUnusable, "architecture_mismatch", kName));
  EXPECT_THAT(Run({Weights("lm_head.weight", RandomValues(63 * 64, 1, 1))}),
              FailsWith(Errc::kUnusable, "architecture_mismatch", "lm_head.weight"));
  ExpectNothingLeft();
}

TEST_F(WrongInputTest, NamesThatCollideWithParts) {
  const TestTensor weight = Weights(kName, RandomValues(4096, 2, 1));
  for (const std::string& part : {SignName(kName), RowScaleName(kName), MaskName(kName)}) {
    EXPECT_THAT(Run({weight, Counting({part, Dtype::kU8, {4}})}),
                FailsWith(Errc::kUnusable, "name_collision", part));
  }
  ExpectNothingLeft();
}

TEST_F(WrongInputTest, OptionsThatDoNotExist) {
  const std::vector<TestTensor> fine{Counting({"norm", Dtype::kF32, {64}})};
  CompressOptions options;
  for (const char* device : {"tpu", "cudax", "cuda:", "cuda:x"}) {
    options.device = device;
    EXPECT_THAT(Run(fine, options), FailsWith(Errc::kInvalid, "bad_device", device));
  }
  options.device = "cpu";
  options.codec = Codec::kRows;
  EXPECT_THAT(Run(fine, options), FailsWith(Errc::kInvalid, "bad_codec", "rows"));
}

TEST_F(WrongInputTest, CancelledFromTheCallback) {
  const TestCheckpoint fine = OpenTiny("kjv");
  const TestCheckpoint base = OpenTiny("base");
  const CheckpointBlobSource blobs(*base.blobs, *fine.blobs);
  int calls = 0;
  const auto callback = [&](const CompressProgress& progress) {
    EXPECT_EQ(progress.bytes_total, 6688128U);  // the data of all tensors
    EXPECT_LE(progress.bytes_done, progress.bytes_total);
    return ++calls < 1;
  };
  EXPECT_THAT(CompressCheckpoint(*base.checkpoint, base.hashed.BaseDigest(), *fine.checkpoint,
                                 fine.hashed.recipe, blobs, {}, dir_ / "a.delta", callback),
              FailsWith(Errc::kCancelled, "cancelled", ""));
  EXPECT_EQ(calls, 1);
  ExpectNothingLeft();
}

// A file size limit stands in for a full disk: the write fails half-way.
TEST_F(WrongInputTest, NoRoomLeavesNothing) {
  const TestCheckpoint base = OpenTiny("base");
  const TestCheckpoint fine = OpenTiny("kjv");
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{100'000, before.rlim_max};
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const auto result = Compress(base, fine, {}, dir_ / "a.delta");
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler);
  EXPECT_FALSE(result.has_value());
  ExpectNothingLeft();
  EXPECT_THAT(Compress(base, fine, {}, dir_ / "a.delta"), Ok());
}

TEST_F(WrongInputTest, AnotherBase) {
  const TestDelta delta =
      MakeDelta(base_, MakeCheckpoint({Weights(kName, RandomValues(4096, 2, 1))}), {}, dir_);
  const TestCheckpoint other = MakeCheckpoint({Weights(kName, RandomValues(4096, 3, 1))});
  EXPECT_THAT(
      Rebuilder::Create(other.checkpoint, other.hashed.BaseDigest(), other.blobs, delta.reader),
      FailsWith(Errc::kCorrupt, "base_mismatch", other.hashed.BaseDigest().Text()));
}

// Deltas whose parts do not fit the weights of the recipe: written with the public writer, they
// pass DeltaReader, which can't know the weights' shapes.
TEST_F(WrongInputTest, PartsThatDoNotFitTheWeight) {
  const TestTensor weight = Weights(kName, RandomValues(4096, 2, 1));
  const TestCheckpoint fine = MakeCheckpoint({weight});
  const std::string recipe = fine.hashed.recipe.Serialize();
  const auto open = [&](const std::vector<TestTensor>& parts, Codec codec) {
    const auto writer = *DeltaWriter::Create(dir_ / "a.delta");
    std::vector<TestTensor> all = parts;
    all.push_back({{"signum.recipe", Dtype::kU8, {recipe.size()}}, recipe});
    const RecipeFile& file = *fine.hashed.recipe.Find("model.safetensors");
    const std::string header = ReadWhole(**fine.blobs->OpenBlob(file.header));
    all.push_back({{BlobName(file.header), Dtype::kU8, {header.size()}}, header});
    for (const TestTensor& part : all)
      EXPECT_THAT(writer->Add(part.info, AsBytes(part.data)), Ok());
    const auto sealed =
        writer->Finish({base_.hashed.BaseDigest(), "sign1", "row", {{kName, codec}}});
    EXPECT_THAT(sealed, Ok());
    const TestDelta delta{{}, *DeltaReader::Open(*MappedFile::Open(dir_ / "a.delta"), "a.delta")};
    const auto tensor = OpenRebuilder(base_, delta)->OpenTensor(kName);
    if (!tensor) return Result<std::string>(tensor.error());
    return ReadAll(**tensor, 1 << 20);
  };
  const auto zeros = [](const std::string& name, Dtype dtype, std::vector<uint64_t> shape) {
    TestTensor tensor{{name, dtype, std::move(shape)}, {}};
    tensor.data.assign(tensor.info.bytes(), '\0');
    return tensor;
  };
  const auto refused = FailsWith(Errc::kCorrupt, "bad_part", kName);
  const TestTensor row = zeros(RowScaleName(kName), Dtype::kF32, {64});
  EXPECT_THAT(open({zeros(SignName(kName), Dtype::kU8, {64, 8}), row}, Codec::kSign1), Ok());
  EXPECT_THAT(open({zeros(SignName(kName), Dtype::kU8, {64, 9}), row}, Codec::kSign1), refused);
  EXPECT_THAT(open({zeros(SignName(kName), Dtype::kU8, {32, 8}),
                    zeros(RowScaleName(kName), Dtype::kF32, {32})},
                   Codec::kSign1),
              refused);
  TestTensor mask = zeros(MaskName(kName), Dtype::kU8, {64, 8});
  mask.data[5] = 3;
  const TestTensor one_byte = zeros(SignName(kName), Dtype::kU8, {1});
  const TestTensor two_bytes = zeros(SignName(kName), Dtype::kU8, {2});
  EXPECT_THAT(open({mask, one_byte, row}, Codec::kSign1Sparse), Ok());
  EXPECT_THAT(open({mask, two_bytes, row}, Codec::kSign1Sparse), refused);
  TestTensor rows = zeros(RowsName(kName), Dtype::kI32, {1});
  const TestTensor values = zeros(ValuesName(kName), Dtype::kF32, {1, 64});
  EXPECT_THAT(open({rows, values}, Codec::kRows), Ok());
  rows.data[0] = 64;  // one past the last
  EXPECT_THAT(open({rows, values}, Codec::kRows), refused);
  rows.data[0] = 0;
  EXPECT_THAT(open({rows, zeros(ValuesName(kName), Dtype::kBF16, {1, 64})}, Codec::kRows), refused);
  EXPECT_THAT(open({zeros(kName, Dtype::kF32, {64, 63})}, Codec::kRaw), refused);
}

}  // namespace
}  // namespace signum
