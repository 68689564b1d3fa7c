// Which codec a tensor gets, and that what comes back is what the codec promises.

#include <gtest/gtest.h>

#include <cmath>

#include "gpu/kernels/simd.h"
#include "tests/gpu/codec_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

const std::string kName = "model.layers.0.mlp.up_proj.weight";
const std::string kEmbed = "model.embed_tokens.weight";

std::vector<float> Plus(std::vector<float> values, const std::vector<float>& changes) {
  for (size_t i = 0; i < values.size(); ++i) values[i] += changes[i];
  return values;
}

// Changes of which all but about one in `one_in` are exactly 0.
std::vector<float> SparseChanges(size_t n, uint64_t seed, size_t one_in) {
  std::vector<float> changes = RandomValues(n, seed, 0.1F);
  for (size_t i = 0; i < n; ++i) {
    if ((i * 7919 + i / 13) % one_in != 0) changes[i] = 0;
  }
  return changes;
}

class CodecTest : public testing::Test {
 protected:
  // One tensor, compressed; `base` and `fine` may differ in dtype and rows.
  void Make(const TestTensor& base, const TestTensor& fine, const CompressOptions& options = {}) {
    base_ = MakeCheckpoint({base});
    fine_ = MakeCheckpoint({fine});
    delta_ = MakeDelta(base_, fine_, options, dir_);
    rebuilder_ = OpenRebuilder(base_, delta_);
    name_ = fine.info.name;
    rebuilt_ = ReadWhole(**rebuilder_->OpenTensor(name_));
  }
  Codec codec() const { return delta_.CodecOf(name_); }

  TempDir dir_;
  TestCheckpoint base_, fine_;
  TestDelta delta_;
  std::shared_ptr<const Rebuilder> rebuilder_;
  std::string name_, rebuilt_;
};

TEST_F(CodecTest, ScaleKindsAreMeansOfAbsoluteDifferences) {
  const auto base = RandomValues(70 * 100, 1, 1);
  const auto changes = RandomValues(70 * 100, 2, 0.01F);
  const TestTensor before = MakeTensor(kName, Dtype::kF32, {70, 100}, base);
  const TestTensor after = MakeTensor(kName, Dtype::kF32, {70, 100}, Plus(base, changes));
  CompressOptions options;
  options.scales = ScaleKind::kTensor;
  Make(before, after, options);
  double all = 0;
  std::vector<double> by_row(70);
  const auto fine = Values(after.info, AsBytes(after.data));
  for (size_t e = 0; e < fine.size(); ++e) {
    const double delta = std::fabs(static_cast<double>(fine[e] - base[e]));
    all += delta / 7000;
    by_row[e / 100] += delta / 100;
  }
  ASSERT_EQ(delta_.Floats(ScaleName(kName)).size(), 1U);
  EXPECT_NEAR(static_cast<double>(delta_.Floats(ScaleName(kName))[0]), all, 1e-6 * all);
  for (float value : Values(after.info, AsBytes(rebuilt_))) EXPECT_TRUE(std::isfinite(value));

  options.scales = ScaleKind::kRow;
  Make(before, after, options);
  const std::vector<float> rows = delta_.Floats(RowScaleName(kName));
  ASSERT_EQ(rows.size(), 70U);
  for (size_t i = 0; i < 70; ++i) EXPECT_NEAR(static_cast<double>(rows[i]), by_row[i], 1e-8);
  EXPECT_EQ(delta_.reader->FindPart(ColScaleName(kName)), nullptr);
  EXPECT_EQ(delta_.summary.linear_weights, 7000U);
  EXPECT_EQ(delta_.summary.linear_bytes, 70U * 13 + 70 * 4);
}

// sign1-sparse leaves every weight that the fine-tune left alone as it is, bit for bit.
TEST_F(CodecTest, SparseNeverTouchesAnUnchangedWeight) {
  for (const auto& [rows, columns] : {std::pair<uint64_t, uint64_t>{64, 100}, {300, 4103}}) {
    for (ScaleKind kind : {ScaleKind::kTensor, ScaleKind::kRow, ScaleKind::kRowCol}) {
      const size_t n = rows * columns;
      const auto base = RandomValues(n, 3, 1);
      const TestTensor before = MakeTensor(kName, Dtype::kBF16, {rows, columns}, base);
      const TestTensor after =
          MakeTensor(kName, Dtype::kBF16, {rows, columns}, Plus(base, SparseChanges(n, 4, 5)));
      CompressOptions options;
      options.scales = kind;
      Make(before, after, options);
      ASSERT_EQ(codec(), Codec::kSign1Sparse);
      const auto was = Values(before.info, AsBytes(before.data));
      const auto wanted = Values(after.info, AsBytes(after.data));
      const auto got = Values(after.info, AsBytes(rebuilt_));
      size_t changed = 0;
      for (size_t e = 0; e < n; ++e) {
        if (was[e] == wanted[e]) {
          ASSERT_EQ(got[e], was[e]) << e;
        } else {
          ++changed;
          ASSERT_EQ(got[e] >= was[e], wanted[e] > was[e]) << e;
        }
      }
      EXPECT_EQ(delta_.Bytes(SignName(kName)).size(), (changed + 7) / 8);
      EXPECT_EQ(delta_.Bytes(MaskName(kName)).size(), rows * ((columns + 7) / 8));
    }
  }
}

TEST_F(CodecTest, SparseFromHalfUnchangedOn) {
  const size_t n = 64 * 64;
  const auto base = RandomValues(n, 3, 1);
  const TestTensor before = MakeTensor(kName, Dtype::kF32, {64, 64}, base);
  auto changes = RandomValues(n, 5, 0.1F);
  std::fill_n(changes.begin(), n / 2 - 1, 0.0F);
  Make(before, MakeTensor(kName, Dtype::kF32, {64, 64}, Plus(base, changes)));
  EXPECT_EQ(codec(), Codec::kSign1);
  changes[n / 2 - 1] = 0;
  Make(before, MakeTensor(kName, Dtype::kF32, {64, 64}, Plus(base, changes)));
  EXPECT_EQ(codec(), Codec::kSign1Sparse);
}

TEST_F(CodecTest, MixedDtypes) {
  for (Dtype from : {Dtype::kF64, Dtype::kF32, Dtype::kF16, Dtype::kBF16}) {
    for (Dtype to : {Dtype::kF64, Dtype::kF32, Dtype::kF16, Dtype::kBF16}) {
      const auto base = RandomValues(40 * 50, 6, 0.1F);
      const TestTensor after =
          MakeTensor(kName, to, {40, 50}, Plus(base, RandomValues(2000, 7, 0.05F)));
      Make(MakeTensor(kName, from, {40, 50}, base), after);
      ASSERT_EQ(codec(), Codec::kSign1);
      const auto wanted = Values(after.info, AsBytes(after.data));
      const auto got = Values(after.info, AsBytes(rebuilt_));
      double error = 0;
      double size = 0;
      for (size_t e = 0; e < got.size(); ++e) {
        error += std::pow(static_cast<double>(wanted[e] - got[e]), 2);
        size += std::pow(static_cast<double>(wanted[e] - base[e]), 2);
      }
      EXPECT_LT(error, 0.45 * size);  // 1 - 2/π, for normally distributed differences
    }
  }
}

TEST_F(CodecTest, EqualTensorsAreNotStored) {
  const auto values = RandomValues(64 * 64, 1, 1);
  const TestTensor tensor = MakeTensor(kName, Dtype::kBF16, {64, 64}, values);
  Make(tensor, tensor);
  EXPECT_EQ(codec(), Codec::kSame);
  EXPECT_EQ(delta_.summary.tensors[0].stored_bytes, 0U);
  EXPECT_EQ(rebuilt_, tensor.data);
}

TEST_F(CodecTest, EmbeddingKeepsOnlyRowsThatChanged) {
  const auto base = RandomValues(100 * 36, 8, 1);
  auto fine = base;
  for (size_t row : {3U, 50U, 99U}) {
    for (size_t j = 0; j < 36; ++j) fine[row * 36 + j] += (j % 2 == 0 ? 0.5F : -0.5F);
  }
  const TestTensor before = MakeTensor(kEmbed, Dtype::kF32, {100, 36}, base);
  const TestTensor after = MakeTensor(kEmbed, Dtype::kF32, {100, 36}, fine);
  Make(before, after);
  ASSERT_EQ(codec(), Codec::kRows);
  EXPECT_EQ(delta_.Bytes(RowsName(kEmbed)), std::string("\3\0\0\0\x32\0\0\0\x63\0\0\0", 12));
  EXPECT_EQ(delta_.summary.tensors[0].stored_bytes, 3U * (4 + 5 + 4));
  const auto got = Values(after.info, AsBytes(rebuilt_));
  for (size_t e = 0; e < got.size(); ++e) EXPECT_NEAR(got[e], fine[e], 2e-6F) << e;

  CompressOptions options;
  options.exact_embeddings = true;
  Make(before, after, options);
  EXPECT_EQ(rebuilt_, after.data);
  EXPECT_EQ(delta_.summary.tensors[0].stored_bytes, 3U * (4 + 36 * 4));
}

TEST_F(CodecTest, GrownVocabularyIsExactInItsNewRows) {
  for (bool exact : {false, true}) {
    for (Dtype from : {Dtype::kBF16, Dtype::kF32}) {
      const auto base = RandomValues(50 * 64, 9, 1);
      auto fine = base;
      fine[64] += 1;
      const auto more = RandomValues(7 * 64, 10, 1);
      fine.insert(fine.end(), more.begin(), more.end());
      const TestTensor after = MakeTensor(kEmbed, Dtype::kBF16, {57, 64}, fine);
      CompressOptions options;
      options.exact_embeddings = exact;
      Make(MakeTensor(kEmbed, from, {50, 64}, base), after, options);
      ASSERT_EQ(codec(), Codec::kRows);
      EXPECT_EQ(rebuilt_.size(), after.data.size());
      EXPECT_EQ(rebuilt_.substr(50 * 128), after.data.substr(50 * 128));
      EXPECT_EQ(rebuilt_.substr(0, 128), after.data.substr(0, 128));
      EXPECT_EQ(rebuilt_ == after.data, exact);
      EXPECT_EQ(delta_.Bytes(RowsName(kEmbed)).size(), 8U * 4);  // rounding to bf16 is no change
    }
  }
}

TEST_F(CodecTest, SmallOneDimensionalAndIntegerTensorsAreExact) {
  std::vector<TestTensor> before;
  std::vector<TestTensor> after;
  const auto add = [&](const std::string& name, Dtype dtype, std::vector<uint64_t> shape) {
    before.push_back(Counting({name, dtype, std::move(shape)}));
    after.push_back(before.back());
    if (!after.back().data.empty()) after.back().data[0] ^= 1;
  };
  add("model.norm.weight", Dtype::kBF16, {64});
  add("conv.weight", Dtype::kF32, {16, 16, 16});
  add("flat.weight", Dtype::kBF16, {1, 4096});
  add("tall.weight", Dtype::kBF16, {4096, 1});
  add("tiny.weight", Dtype::kBF16, {8, 8});
  add("ids", Dtype::kI64, {64, 64});
  add("quantized.weight", Dtype::kF8E4M3, {64, 64});
  add("scalar", Dtype::kF32, {});
  add("nothing.weight", Dtype::kBF16, {0, 64});
  const TestCheckpoint base = MakeCheckpoint(before);
  const TestCheckpoint fine = MakeCheckpoint(after);
  const TestDelta delta = MakeDelta(base, fine, {}, dir_);
  for (const ManifestTensor& tensor : delta.summary.tensors) {
    EXPECT_EQ(tensor.codec, tensor.info.elements() == 0 ? Codec::kSame : Codec::kRaw)
        << tensor.info.name;
  }
  EXPECT_EQ(ReadWhole(**OpenRebuilder(base, delta)->OpenFile("model.safetensors")),
            fine.File("model.safetensors"));
}

TEST_F(CodecTest, TensorsTheBaseLacksAreExact) {
  const TestTensor shared = MakeTensor(kName, Dtype::kBF16, {64, 64}, RandomValues(4096, 1, 1));
  const TestTensor head =
      MakeTensor("lm_head.weight", Dtype::kF16, {64, 64}, RandomValues(4096, 2, 1));
  const TestCheckpoint base = MakeCheckpoint({shared});
  const TestCheckpoint fine = MakeCheckpoint({head, shared});
  const TestDelta delta = MakeDelta(base, fine, {}, dir_);
  EXPECT_EQ(delta.CodecOf("lm_head.weight"), Codec::kRaw);
  EXPECT_EQ(ReadWhole(**OpenRebuilder(base, delta)->OpenFile("model.safetensors")),
            fine.File("model.safetensors"));
}

TEST_F(CodecTest, RawKeepsLinearWeightsExact) {
  const auto base = RandomValues(4096, 1, 1);
  const TestTensor after = MakeTensor(kName, Dtype::kBF16, {64, 64}, Plus(base, base));
  CompressOptions options;
  options.codec = Codec::kRaw;
  Make(MakeTensor(kName, Dtype::kBF16, {64, 64}, base), after, options);
  EXPECT_EQ(codec(), Codec::kRaw);
  EXPECT_EQ(rebuilt_, after.data);
}

// Any range of a rebuilt file is that range of the whole, whatever codec and wherever it begins.
TEST_F(CodecTest, RangesAtAnyByte) {
  const uint64_t k = 203;
  const auto base = RandomValues(90 * k, 11, 1);
  const auto sparse = Plus(base, SparseChanges(90 * k, 12, 4));
  const auto dense = Plus(base, RandomValues(90 * k, 13, 0.1F));
  std::vector<TestTensor> before;
  std::vector<TestTensor> after;
  for (Dtype dtype : {Dtype::kF32, Dtype::kBF16}) {
    const std::string prefix(DtypeName(dtype));
    for (const std::string& name :
         {prefix + ".sparse.weight", prefix + ".dense.weight", prefix + ".embed_tokens.weight"}) {
      before.push_back(MakeTensor(name, Dtype::kF32, {90, k}, base));
      const bool is_sparse = name.find("sparse") != std::string::npos;
      after.push_back(MakeTensor(name, dtype, {90, k}, is_sparse ? sparse : dense));
    }
  }
  const TestCheckpoint from = MakeCheckpoint(before);
  const TestCheckpoint to = MakeCheckpoint(after);
  const TestDelta delta = MakeDelta(from, to, {}, dir_);
  const auto file = *OpenRebuilder(from, delta)->OpenFile("model.safetensors");
  const std::string whole = ReadWhole(*file);
  uint64_t random = 1;
  for (int i = 0; i < 400; ++i) {
    random = random * 6364136223846793005U + 1442695040888963407U;
    const uint64_t at = (random >> 20) % whole.size();
    const uint64_t size = std::min<uint64_t>((random >> 50) % 3000, whole.size() - at);
    std::string part(size, '\0');
    ASSERT_THAT(file->Read(at, std::as_writable_bytes(std::span(part))), Ok());
    ASSERT_EQ(part, whole.substr(at, size)) << at << " + " << size;
  }
  std::string past(2, '\0');
  EXPECT_THAT(file->Read(whole.size() - 1, std::as_writable_bytes(std::span(past))),
              FailsWith(Errc::kInvalid, "out_of_range", ""));
}

// A source that has to be read, as one of the store has: no view of its bytes.
class NoViewCheckpoint final : public CheckpointSource {
 public:
  explicit NoViewCheckpoint(std::shared_ptr<const Checkpoint> inner) : inner_(std::move(inner)) {}
  const std::vector<TensorInfo>& tensors() const override { return inner_->tensors(); }
  std::optional<Digest> KnownDigest(size_t index) const override {
    return Sha256::Of(AsBytes(ReadWhole(**inner_->Open(index))));
  }
  Result<std::shared_ptr<const ByteSource>> Open(size_t index) const override {
    return std::make_shared<CountingSource>(ReadWhole(**inner_->Open(index)));
  }

 private:
  std::shared_ptr<const Checkpoint> inner_;
};

TEST_F(CodecTest, SourcesWithoutViewGiveTheSameBytes) {
  const TestCheckpoint base = OpenTiny("base");
  const TestCheckpoint fine = OpenTiny("sqlite");
  const TestDelta mapped = MakeDelta(base, fine, {}, dir_);
  const auto base_read = std::make_shared<NoViewCheckpoint>(base.checkpoint);
  const NoViewCheckpoint fine_read(fine.checkpoint);
  const CheckpointBlobSource blobs(*base.blobs, *fine.blobs);
  const auto summary = CompressCheckpoint(*base_read, base.hashed.BaseDigest(), fine_read,
                                          fine.hashed.recipe, blobs, {}, dir_ / "b.delta", {});
  ASSERT_THAT(summary, Ok());
  EXPECT_EQ(summary->sealed.digest, mapped.summary.sealed.digest);
  const auto bytes = std::make_shared<CountingSource>(*ReadFile(dir_ / "b.delta", 1 << 30));
  const auto reader = *DeltaReader::Open(bytes, "b.delta");
  const auto rebuilder =
      *Rebuilder::Create(base_read, base.hashed.BaseDigest(), base.blobs, reader);
  EXPECT_EQ(ReadWhole(**rebuilder->OpenFile("model.safetensors")),
            ReadWhole(**OpenRebuilder(base, mapped)->OpenFile("model.safetensors")));
}

}  // namespace
}  // namespace signum
