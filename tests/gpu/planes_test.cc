// Further planes of signs: each divides what is left, and is what its definition says.

#include <gtest/gtest.h>

#include <cmath>
#include <optional>

#include "gpu/kernels/simd.h"
#include "storage/format/weight_planes.h"
#include "tests/gpu/codec_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

const std::string kName = "model.layers.0.mlp.up_proj.weight";
const std::string kEmbed = "model.embed_tokens.weight";

struct Made {
  TestDelta delta;
  std::vector<float> was, wanted, got;

  double Error() const {
    double sum = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      sum += std::pow(static_cast<double>(wanted[i]) - static_cast<double>(got[i]), 2);
    }
    return sum;
  }
};

// A share of 1 / one_in of the weights has changed.
Made Make(const std::string& name, Dtype dtype, uint64_t rows, uint64_t columns, size_t one_in,
          const CompressOptions& options) {
  const size_t n = rows * columns;
  const auto base = RandomValues(n, 1, 1);
  auto fine = base;
  const auto changes = RandomValues(n, 2, 0.1F);
  for (size_t i = 0; i < n; ++i) {
    if ((i * 7919 + i / 13) % one_in == 0) fine[i] += changes[i];
  }
  const TestTensor before = MakeTensor(name, dtype, {rows, columns}, base);
  const TestTensor after = MakeTensor(name, dtype, {rows, columns}, fine);
  const TestCheckpoint from = MakeCheckpoint({before});
  const TestCheckpoint to = MakeCheckpoint({after});
  const TempDir dir;
  Made made{MakeDelta(from, to, options, dir), {}, {}, {}};
  const std::string rebuilt = ReadWhole(**OpenRebuilder(from, made.delta)->OpenTensor(name));
  made.was = Values(before.info, AsBytes(before.data));
  made.wanted = Values(after.info, AsBytes(after.data));
  made.got = Values(after.info, AsBytes(rebuilt));
  return made;
}

CompressOptions With(int planes, ScaleKind kind) {
  CompressOptions options;
  options.planes = planes;
  options.scales = kind;
  return options;
}

// A uniform quantizer of so many levels leaves a third to a quarter with each more bit.
TEST(Planes, EachDividesTheErrorByAboutThree) {
  for (ScaleKind kind : {ScaleKind::kTensor, ScaleKind::kRow, ScaleKind::kRowCol}) {
    double before = Make(kName, Dtype::kF32, 64, 300, 1, With(1, kind)).Error();
    for (int planes = 2; planes <= kMaxPlanes; ++planes) {
      const Made made = Make(kName, Dtype::kF32, 64, 300, 1, With(planes, kind));
      ASSERT_EQ(made.delta.CodecOf(kName), Codec::kSign1);
      EXPECT_EQ(FindPlanes(*made.delta.reader, kName).planes.size(), static_cast<size_t>(planes));
      EXPECT_THAT(made.delta.reader->CheckContents(), Ok());
      EXPECT_LT(made.Error(), before / 2.5) << planes;
      before = made.Error();
    }
  }
}

TEST(Planes, OfSparseWeightsTouchNoOtherWeight) {
  for (ScaleKind kind : {ScaleKind::kTensor, ScaleKind::kRow, ScaleKind::kRowCol}) {
    const double one = Make(kName, Dtype::kBF16, 90, 4103, 5, With(1, kind)).Error();
    const Made made = Make(kName, Dtype::kBF16, 90, 4103, 5, With(3, kind));
    ASSERT_EQ(made.delta.CodecOf(kName), Codec::kSign1Sparse);
    EXPECT_THAT(made.delta.reader->CheckContents(), Ok());
    EXPECT_LT(made.Error(), one / 5);
    for (size_t i = 0; i < made.got.size(); ++i) {
      if (made.was[i] == made.wanted[i]) {
        ASSERT_EQ(made.got[i], made.was[i]) << i;
      }
    }
  }
}

TEST(Planes, OfEmbeddings) {
  const double one = Make(kEmbed, Dtype::kF32, 40, 100, 1, With(1, ScaleKind::kRowCol)).Error();
  const Made made = Make(kEmbed, Dtype::kF32, 40, 100, 1, With(4, ScaleKind::kRowCol));
  ASSERT_EQ(made.delta.CodecOf(kEmbed), Codec::kRows);
  EXPECT_EQ(FindPlanes(*made.delta.reader, kEmbed).planes.size(), 4U);
  EXPECT_LT(made.Error(), one / 20);
}

// The rounding that FORMAT.md states, computed anew from the parts.
TEST(Planes, AddUpInFloat32InOrder) {
  const uint64_t rows = 24;
  const uint64_t k = 50;
  const Made made = Make(kName, Dtype::kF32, rows, k, 1, With(3, ScaleKind::kRowCol));
  for (uint64_t i = 0; i < rows; ++i) {
    for (uint64_t j = 0; j < k; ++j) {
      float value = made.was[i * k + j];
      for (int plane = 0; plane < 3; ++plane) {
        const std::string sign = made.delta.Bytes(SignName(kName, plane));
        const float s = made.delta.Floats(RowScaleName(kName, plane))[i] *
                        made.delta.Floats(ColScaleName(kName, plane))[j];
        const bool plus = (static_cast<uint8_t>(sign[i * 7 + j / 8]) >> (j % 8)) & 1;
        value = plus ? value + s : value - s;
      }
      ASSERT_EQ(value, made.got[i * k + j]) << i << " " << j;
    }
  }
}

TEST(Planes, GiveTheSameBytesForEveryThreadCountAndInstructionSet) {
  const TestCheckpoint base = OpenTiny("base");
  const TestCheckpoint fine = OpenTiny("sqlite");
  std::optional<Digest> first;
  for (const std::string& simd : kernels::SimdNames()) {
    const WithSimd use(simd);
    CompressOptions options = With(2, ScaleKind::kRowCol);
    options.threads = simd == "scalar" ? 1 : 3;
    const TempDir dir;
    const Digest digest = MakeDelta(base, fine, options, dir).summary.sealed.digest;
    if (!first) first = digest;
    EXPECT_EQ(digest, *first) << simd;
  }
}

TEST(Planes, OutOfRangeIsRefused) {
  const TestCheckpoint base = OpenTiny("base");
  const TempDir dir;
  for (int planes : {0, 9, -1}) {
    EXPECT_THAT(Compress(base, base, With(planes, ScaleKind::kRow), dir / "a"),
                FailsWith(Errc::kInvalid, "bad_planes", "1 to 8"));
  }
}

}  // namespace
}  // namespace signum
