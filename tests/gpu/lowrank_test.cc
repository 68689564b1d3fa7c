// Which differences are stored as factors, and what comes back of them.

#include "gpu/lowrank.h"

#include <gtest/gtest.h>

#include <cmath>

#include "gpu/kernels/simd.h"
#include "tests/gpu/codec_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

const std::string kName = "model.layers.0.mlp.up_proj.weight";

// Weights like a trained model's, and the same with a LoRA of this rank merged in, whose entries
// are about `size`.
struct Merged {
  TestTensor base, fine;
};
Merged Merge(Dtype dtype, uint64_t rows, uint64_t columns, uint64_t rank, float size) {
  const auto weights = RandomValues(rows * columns, 1, 0.02F);
  Merged out;
  out.base = MakeTensor(kName, dtype, {rows, columns}, weights);
  auto values = Values(out.base.info, AsBytes(out.base.data));
  const float each = std::sqrt(size / std::sqrt(static_cast<float>(rank)));
  const auto b = RandomValues(rows * rank, 2, each);
  const auto a = RandomValues(rank * columns, 3, each);
  for (uint64_t i = 0; i < rows; ++i) {
    for (uint64_t r = 0; r < rank; ++r) {
      for (uint64_t j = 0; j < columns; ++j) {
        values[i * columns + j] += b[i * rank + r] * a[r * columns + j];
      }
    }
  }
  out.fine = MakeTensor(kName, dtype, {rows, columns}, values);
  return out;
}

struct Outcome {
  TestDelta delta;
  double error = 0, energy = 0;
  uint64_t rank = 0;
};

Outcome Compressed(const Merged& pair, const CompressOptions& options) {
  const TestCheckpoint base = MakeCheckpoint({pair.base});
  const TestCheckpoint fine = MakeCheckpoint({pair.fine});
  const TempDir dir;
  Outcome out{MakeDelta(base, fine, options, dir)};
  const std::string rebuilt = ReadWhole(**OpenRebuilder(base, out.delta)->OpenTensor(kName));
  const auto was = Values(pair.base.info, AsBytes(pair.base.data));
  const auto wanted = Values(pair.fine.info, AsBytes(pair.fine.data));
  const auto got = Values(pair.fine.info, AsBytes(rebuilt));
  for (size_t i = 0; i < got.size(); ++i) {
    out.error += std::pow(static_cast<double>(wanted[i] - got[i]), 2);
    out.energy += std::pow(static_cast<double>(wanted[i] - was[i]), 2);
  }
  const SafetensorsEntry* a = out.delta.reader->FindPart(LoraAName(kName));
  if (a != nullptr) out.rank = a->info.shape[0];
  EXPECT_THAT(out.delta.reader->CheckContents(), Ok());
  return out;
}

TEST(Lowrank, MergedLoraIsFoundWithItsRank) {
  for (Dtype dtype : {Dtype::kF32, Dtype::kBF16, Dtype::kF16}) {
    // Of rank 1, signs with scales of rows and columns are as exact as rounded factors.
    for (uint64_t rank : {dtype == Dtype::kF32 ? 1 : 2, 4, 8}) {
      const Outcome made = Compressed(Merge(dtype, 700, 520, rank, 0.002F), {});
      ASSERT_EQ(made.delta.CodecOf(kName), Codec::kLowrank) << DtypeName(dtype) << " " << rank;
      EXPECT_EQ(made.rank, rank) << DtypeName(dtype);
      EXPECT_LT(made.error, 0.02 * made.energy) << DtypeName(dtype) << " " << rank;
    }
  }
}

// Where the LoRA moves weights by less than their spacing in bf16, most do not move: the difference
// is far from low-rank, and sparse. The factors still give it back, with a scale that makes up for
// the weights that stayed.
TEST(Lowrank, RoundingDoesNotHideALora) {
  const Merged pair = Merge(Dtype::kBF16, 1024, 768, 8, 0.00005F);
  const Outcome made = Compressed(pair, {});
  CompressOptions signs;
  signs.codec = Codec::kSign1Sparse;
  const Outcome sparse = Compressed(pair, signs);
  ASSERT_EQ(made.delta.CodecOf(kName), Codec::kLowrank);
  EXPECT_EQ(made.rank, 8U);
  EXPECT_LT(made.error, sparse.error);
  EXPECT_LT(made.delta.summary.sealed.size, sparse.delta.summary.sealed.size / 3);
}

TEST(Lowrank, FullDifferencesKeepTheirSigns) {
  for (float decay : {0.0F, 0.5F, 1.0F}) {
    Merged pair = Merge(Dtype::kBF16, 512, 640, 1, 1e-9F);
    auto values = Values(pair.base.info, AsBytes(pair.base.data));
    const auto changes = RandomValues(values.size(), 9, 0.001F);
    // Columns of falling weight: a spectrum that falls, too.
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] += changes[i] * std::pow(1 + static_cast<float>(i % 640), -decay / 2);
    }
    pair.fine = MakeTensor(kName, Dtype::kBF16, {512, 640}, values);
    EXPECT_NE(Compressed(pair, {}).delta.CodecOf(kName), Codec::kLowrank) << decay;
  }
}

TEST(Lowrank, TheFamilyIsNotLowRank) {
  const TempDir dir;
  const TestCheckpoint base = OpenTiny("base");
  for (const std::string fine : {"kjv", "pysrc", "sqlite"}) {
    const TestDelta delta = MakeDelta(base, OpenTiny(fine), {}, dir);
    for (const auto& [name, codec] : delta.reader->header().codecs) {
      EXPECT_NE(codec, Codec::kLowrank) << name;
    }
  }
}

TEST(Lowrank, IsNoLargerThanSignsWhereAskedFor) {
  CompressOptions options;
  options.codec = Codec::kLowrank;
  Merged pair = Merge(Dtype::kBF16, 512, 640, 1, 1e-9F);
  auto values = Values(pair.base.info, AsBytes(pair.base.data));
  const auto changes = RandomValues(values.size(), 9, 0.001F);
  for (size_t i = 0; i < values.size(); ++i) values[i] += changes[i];
  pair.fine = MakeTensor(kName, Dtype::kBF16, {512, 640}, values);
  const Outcome made = Compressed(pair, options);
  ASSERT_EQ(made.delta.CodecOf(kName), Codec::kLowrank);
  EXPECT_LE(made.delta.summary.linear_bytes, 512 * 640 / 8 + 4 * (512 + 640));
  EXPECT_LT(made.error, made.energy);
}

// FORMAT.md's equation, from the parts.
TEST(Lowrank, IsRebuiltAsTheFormatSays) {
  const Merged pair = Merge(Dtype::kF32, 130, 90, 2, 0.002F);
  const TestCheckpoint base = MakeCheckpoint({pair.base});
  const TestCheckpoint fine = MakeCheckpoint({pair.fine});
  const TempDir dir;
  const TestDelta delta = MakeDelta(base, fine, {}, dir);
  ASSERT_EQ(delta.CodecOf(kName), Codec::kLowrank);
  const auto source = *OpenRebuilder(base, delta)->OpenTensor(kName);
  const auto got = Values(pair.fine.info, AsBytes(ReadWhole(*source)));
  const auto was = Values(pair.base.info, AsBytes(pair.base.data));
  const auto a = delta.Floats(LoraAName(kName));
  const auto b = delta.Floats(LoraBName(kName));
  const float scale =
      delta.reader->FindPart(ScaleName(kName)) == nullptr ? 1 : delta.Floats(ScaleName(kName))[0];
  const size_t rank = a.size() / 90;
  for (size_t i = 0; i < 130; ++i) {
    for (size_t j = 0; j < 90; ++j) {
      float t = 0;
      for (size_t r = 0; r < rank; ++r) t += b[i * rank + r] * a[r * 90 + j];
      ASSERT_EQ(got[i * 90 + j], was[i * 90 + j] + scale * t);
    }
  }
  std::string part(777, '\0');  // and any range of it
  ASSERT_THAT(source->Read(1001, std::as_writable_bytes(std::span(part))), Ok());
  EXPECT_EQ(part, ReadWhole(*source).substr(1001, 777));
}

TEST(Lowrank, GivesTheSameBytesForEveryThreadCountAndInstructionSet) {
  const Merged pair = Merge(Dtype::kBF16, 900, 520, 4, 0.001F);
  const TestCheckpoint base = MakeCheckpoint({pair.base});
  const TestCheckpoint fine = MakeCheckpoint({pair.fine});
  std::optional<Digest> first;
  for (const std::string& simd : kernels::SimdNames()) {
    const WithSimd use(simd);
    CompressOptions options;
    options.threads = simd == "scalar" ? 1 : 3;
    const TempDir dir;
    const Digest digest = MakeDelta(base, fine, options, dir).summary.sealed.digest;
    if (!first) first = digest;
    EXPECT_EQ(digest, *first) << simd;
  }
}

}  // namespace
}  // namespace signum
