#include <gtest/gtest.h>

#include "storage/format/delta_file.h"
#include "storage/format/weight_planes.h"
#include "tests/storage/format/sample_delta.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

TEST(DeltaPlanes, ComeBackPlaneByPlane) {
  const SampleDelta sample = MakePlanesSample();
  const auto reader = OpenBytes(RawDelta(sample)).value();
  EXPECT_EQ(reader->header().codecs, sample.header.codecs);
  EXPECT_THAT(reader->CheckContents(), Ok());
  const WeightPlanes rowcol = FindPlanes(*reader, "p0.rowcol");
  ASSERT_EQ(rowcol.planes.size(), 3U);
  EXPECT_EQ(rowcol.planes[2].sign->info.name, "p0.rowcol.sign.2");
  EXPECT_EQ(rowcol.planes[1].col_scale->info.name, "p0.rowcol.scale.col.1");
  EXPECT_EQ(rowcol.planes[0].scale, nullptr);
  EXPECT_EQ(FindPlanes(*reader, "p1.tensor").planes[1].scale->info.name, "p1.tensor.scale.1");
  const WeightPlanes sparse = FindPlanes(*reader, "p2.sparse");
  ASSERT_EQ(sparse.planes.size(), 2U);
  EXPECT_EQ(sparse.mask->info.name, "p2.sparse.mask");
  EXPECT_EQ(FindPlanes(*reader, "p3.rows").planes.size(), 2U);
  for (const char* none : {"p4.lora", "odd.sign.1", "absent"}) {
    EXPECT_TRUE(FindPlanes(*reader, none).planes.empty()) << none;
  }
}

// A raw tensor that is named like a plane is no plane of another weight.
TEST(DeltaPlanes, ATensorNamedLikeAPlaneIsNone) {
  SampleDelta sample = MakeSampleDelta();
  sample.tensors.push_back(Counting({"l1.row.sign.1", Dtype::kF32, {4}}));
  sample.header.codecs["l1.row.sign.1"] = Codec::kRaw;
  const auto reader = OpenBytes(RawDelta(sample)).value();
  EXPECT_EQ(FindPlanes(*reader, "l1.row").planes.size(), 1U);
}

TEST(DeltaPlanes, NamesWhatIsMissing) {
  const std::pair<const char*, const char*> parts[] = {{"p0.rowcol.sign.1", ".sign.1"},
                                                       {"p0.rowcol.scale.row.2", ".scale.row.2"},
                                                       {"p0.rowcol.scale.col.1", ".scale.col.1"},
                                                       {"p1.tensor.scale.1", ".scale.1"},
                                                       {"p2.sparse.sign.1", ".sign.1"},
                                                       {"p3.rows.scale.row.1", ".scale.row.1"},
                                                       {"p4.lora.lora_a", ".lora_a"},
                                                       {"p4.lora.lora_b", ".lora_b"}};
  for (const auto& [part, text] : parts) {
    SampleDelta sample = MakePlanesSample();
    sample.Remove(part);
    EXPECT_THAT(OpenBytes(RawDelta(sample)), FailsWith(Errc::kCorrupt, "missing_part", text))
        << part;
  }
}

TEST(DeltaPlanes, RefusesPartsThatDoNotFit) {
  const Reshaped cases[] = {
      {"p0.rowcol.sign.1", Dtype::kU8, {3, 3}},     {"p0.rowcol.sign.2", Dtype::kI8, {3, 2}},
      {"p0.rowcol.scale.col.1", Dtype::kF32, {11}}, {"p1.tensor.scale.1", Dtype::kF32, {2}},
      {"p2.sparse.sign.1", Dtype::kU8, {2}},        {"p3.rows.sign.1", Dtype::kU8, {1, 1}},
      {"p4.lora.lora_a", Dtype::kBF16, {12}},       {"p4.lora.lora_a", Dtype::kF64, {2, 12}},
      {"p4.lora.lora_b", Dtype::kBF16, {3, 3}},     {"p4.lora.lora_b", Dtype::kU8, {3, 2}},
      {"p4.lora.scale", Dtype::kF32, {2}}};
  for (const Reshaped& change : cases) {
    SampleDelta sample = MakePlanesSample();
    sample.Part(change.part) = Counting({change.part, change.dtype, change.shape});
    EXPECT_THAT(OpenBytes(RawDelta(sample)), FailsWith(Errc::kCorrupt, "bad_part", change.part))
        << change.part;
  }
  for (const char* name :
       {"p1.tensor.scale.row.1", "p3.rows.scale.col.1", "p4.lora.sign", "p4.lora.scale.1"}) {
    SampleDelta sample = MakePlanesSample();
    sample.tensors.push_back(Counting({name, Dtype::kU8, {2}}));
    EXPECT_THAT(OpenBytes(RawDelta(sample)), FailsWith(Errc::kCorrupt, "bad_part", name)) << name;
  }
}

TEST(DeltaPlanes, FindsDamageInContents) {
  const std::tuple<const char*, size_t, char> damages[] = {
      {"p0.rowcol.sign.2", 1, '\x1a'},       // column 12 of 12
      {"p2.sparse.sign.1", 0, '\x35'},       // a sixth sign
      {"p0.rowcol.scale.col.1", 3, '\x7f'},  // with the next byte: NaN
      {"p4.lora.lora_a", 1, '\x7f'},
  };
  for (const auto& [part, at, byte] : damages) {
    SampleDelta sample = MakePlanesSample();
    sample.Part(part).data[at] = byte;
    if (byte == '\x7f') sample.Part(part).data[at - 1] = '\xff';
    EXPECT_THAT(OpenBytes(RawDelta(sample)).value()->CheckContents(),
                FailsWith(Errc::kCorrupt, "bad_part", part));
  }
}

}  // namespace
}  // namespace signum
