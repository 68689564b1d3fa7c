#include "storage/format/delta_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>

#include "storage/format/delta_metadata.h"
#include "tests/storage/format/sample_delta.h"
#include "tests/support/result_matchers.h"
#include "tests/support/temp_dir.h"

namespace signum {
namespace {

std::string Bytes(const ByteSource& source) { return ReadAll(source, source.size()).value(); }

size_t FilesIn(const TempDir& dir) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(dir.path()), {}));
}

TEST(DeltaFile, ComesBackAsItWasWritten) {
  const TempDir dir;
  const SampleDelta sample = MakeSampleDelta();
  ASSERT_THAT(WriteDelta(sample, dir / "d"), Ok());
  const auto reader = DeltaReader::Open(MappedFile::Open(dir / "d").value(), "d");
  ASSERT_THAT(reader, Ok());
  EXPECT_EQ((*reader)->header().base, sample.header.base);
  EXPECT_EQ((*reader)->header().codec, "sign1");
  EXPECT_EQ((*reader)->header().scales, "row+col");
  EXPECT_EQ((*reader)->header().codecs, sample.header.codecs);
  EXPECT_EQ((*reader)->recipe(), MakeSampleRecipe());
  EXPECT_EQ((*reader)->parts().size(), sample.tensors.size());
  for (const TestTensor& tensor : sample.tensors) {
    const SafetensorsEntry* part = (*reader)->FindPart(tensor.info.name);
    ASSERT_NE(part, nullptr) << tensor.info.name;
    EXPECT_EQ(part->info, tensor.info);
    EXPECT_EQ(Bytes(*(*reader)->OpenPart(*part)), tensor.data);
  }
  EXPECT_EQ((*reader)->FindPart("l0.rowcol"), nullptr);
  EXPECT_THAT((*reader)->CheckContents(), Ok());
}

TEST(DeltaFile, CarriesBlobs) {
  const auto reader = OpenBytes(RawDelta(MakeSampleDelta())).value();
  const Digest config = MakeSampleRecipe().files[0].digest;
  EXPECT_EQ(Sha256::Of(AsBytes(Bytes(*reader->OpenBlob(config).value()))), config);
  EXPECT_THAT(reader->OpenBlob(Digest{}), FailsWith(Errc::kNotFound, "unknown_blob", "sha256:00"));
}

TEST(DeltaWriter, GivesTheSameBytesForEveryOrder) {
  const TempDir dir;
  SampleDelta sample = MakeSampleDelta();
  const auto first = WriteDelta(sample, dir / "a").value();
  std::reverse(sample.tensors.begin(), sample.tensors.end());
  const auto second = WriteDelta(sample, dir / "b").value();
  EXPECT_EQ(first.digest, second.digest);
  EXPECT_EQ(ReadFile(dir / "a", 1 << 20).value(), ReadFile(dir / "b", 1 << 20).value());
}

TEST(DeltaWriter, AlignsEveryTensorToItsElements) {
  const TempDir dir;
  ASSERT_THAT(WriteDelta(MakeSampleDelta(), dir / "d"), Ok());
  const auto reader = DeltaReader::Open(MappedFile::Open(dir / "d").value(), "d").value();
  EXPECT_EQ(reader->data_begin() % 256, 0U);
  EXPECT_EQ(reader->parts().front().info.name, "l2.tensor.sign");  // 512 bytes, the one big one
  bool aligned = true;
  for (const SafetensorsEntry& part : reader->parts()) {
    EXPECT_EQ(part.begin % DtypeSize(part.info.dtype), 0U) << part.info.name;
    const bool is_aligned = part.info.bytes() % 256 == 0;
    EXPECT_TRUE(aligned || !is_aligned) << part.info.name << " comes after an unaligned tensor";
    aligned = is_aligned;
  }
}

TEST(DeltaWriter, SaysWhatItWrote) {
  const TempDir dir;
  SampleDelta sample = MakeSampleDelta();
  sample.tensors.push_back(Counting({"big", Dtype::kU8, {3 * kChunkBytes}}));
  sample.header.codecs["big"] = Codec::kRaw;
  const auto sealed = WriteDelta(sample, dir / "d").value();
  const std::string bytes = ReadFile(dir / "d", 1 << 20).value();
  EXPECT_EQ(sealed.size, bytes.size());
  EXPECT_EQ(sealed.digest, Sha256::Of(AsBytes(bytes)));
  ASSERT_EQ(sealed.chunks.size(), (bytes.size() + kChunkBytes - 1) / kChunkBytes);
  for (size_t i = 0; i < sealed.chunks.size(); ++i) {
    const auto chunk = std::string_view(bytes).substr(i * kChunkBytes, kChunkBytes);
    EXPECT_EQ(sealed.chunks[i], Sha256::Of(AsBytes(chunk)));
  }
  EXPECT_EQ(FilesIn(dir), 1U);  // no spill left
}

TEST(DeltaWriter, TakesATensorInPieces) {
  const TempDir dir;
  const SampleDelta sample = MakeSampleDelta();
  const auto writer = DeltaWriter::Create(dir / "d").value();
  for (const TestTensor& tensor : sample.tensors) {
    ASSERT_THAT(writer->Begin(tensor.info), Ok());
    for (char c : tensor.data) ASSERT_THAT(writer->Append(AsBytes({&c, 1})), Ok());
  }
  ASSERT_THAT(writer->Finish(sample.header), Ok());
  ASSERT_THAT(WriteDelta(sample, dir / "whole"), Ok());
  EXPECT_EQ(ReadFile(dir / "d", 1 << 20).value(), ReadFile(dir / "whole", 1 << 20).value());
}

TEST(DeltaWriter, RefusesMisuseAndLeavesNoFile) {
  const TempDir dir;
  const SampleDelta sample = MakeSampleDelta();
  {
    const auto writer = DeltaWriter::Create(dir / "d").value();
    EXPECT_THAT(writer->Append(AsBytes("x")), FailsWith(Errc::kInvalid, "size_mismatch", "first"));
    ASSERT_THAT(writer->Begin({"a", Dtype::kU8, {2}}), Ok());
    EXPECT_THAT(writer->Append(AsBytes("xyz")), FailsWith(Errc::kInvalid, "size_mismatch", "'a'"));
    EXPECT_THAT(writer->Append(AsBytes("x")), Ok());
    EXPECT_THAT(writer->Begin({"b", Dtype::kU8, {2}}),
                FailsWith(Errc::kInvalid, "size_mismatch", "'a'"));
    EXPECT_THAT(writer->Finish(sample.header), FailsWith(Errc::kInvalid, "size_mismatch", "'a'"));
    EXPECT_THAT(writer->Append(AsBytes("y")), Ok());
    EXPECT_THAT(writer->Begin({"a", Dtype::kU8, {0}}),
                FailsWith(Errc::kInvalid, "duplicate_tensor", "'a'"));
    EXPECT_THAT(writer->Finish(sample.header), FailsWith(Errc::kInvalid, "missing_part", "recipe"));
  }
  SampleDelta unread = sample;
  unread.Remove("l1.row.scale.row");
  EXPECT_THAT(WriteDelta(unread, dir / "d"), FailsWith(Errc::kCorrupt, "missing_part", "'l1.row'"));
  SampleDelta unsaid = sample;
  unsaid.header.codecs.erase("norm");
  EXPECT_THAT(WriteDelta(unsaid, dir / "d"), FailsWith(Errc::kInvalid, "bad_codec", "header"));
  EXPECT_EQ(FilesIn(dir), 0U);
}

// A limit on file size stands for the full disk: both end in disk_full (EFBIG, ENOSPC).
TEST(DeltaWriter, OnAFullDiskLeavesNoFile) {
  const TempDir dir;
  SampleDelta sample = MakeSampleDelta();
  sample.tensors.push_back(Counting({"big", Dtype::kU8, {1 << 20}}));
  sample.header.codecs["big"] = Codec::kRaw;
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, SIG_IGN);
  for (rlim_t limit : {rlim_t{1000}, rlim_t{(1 << 20) + 2000}}) {  // the spill, then the output
    const rlimit small{limit, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
    const auto sealed = WriteDelta(sample, dir / "d");
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_THAT(sealed, FailsWith(Errc::kExhausted, "disk_full", "write"));
    EXPECT_EQ(FilesIn(dir), 0U);
  }
}

TEST(DeltaReader, RefusesWhatIsNoDelta) {
  EXPECT_THAT(OpenBytes(MakeSafetensors({})),
              FailsWith(Errc::kUnusable, "not_a_delta", "d.safetensors"));
  EXPECT_THAT(OpenBytes("short"), FailsWith(Errc::kCorrupt, "header_truncated", "d.safetensors"));
  const std::string whole = RawDelta(MakeSampleDelta());
  EXPECT_THAT(OpenBytes(whole.substr(0, whole.size() - 1)),
              FailsWith(Errc::kCorrupt, "offsets_out_of_range", "signum.recipe"));
}

struct Changed {
  const char* key;
  const char* value;  // nullptr: left out
  Errc code;
  const char* reason;
};

TEST(DeltaReader, RefusesMetadataItDoesNotKnow) {
  const SampleDelta sample = MakeSampleDelta();
  const Changed changes[] = {{"format", "pt", Errc::kUnusable, "not_a_delta"},
                             {"format", nullptr, Errc::kUnusable, "not_a_delta"},
                             {"version", "2", Errc::kUnusable, "unsupported_version"},
                             {"version", nullptr, Errc::kUnusable, "unsupported_version"},
                             {"layout", "col-lsb", Errc::kUnusable, "unsupported_layout"},
                             {"codec", "sign2", Errc::kCorrupt, "bad_codec"},
                             {"scales", "col", Errc::kCorrupt, "bad_metadata"},
                             {"base", "sha256:00", Errc::kCorrupt, "bad_metadata"},
                             {"base", nullptr, Errc::kCorrupt, "bad_metadata"},
                             {"codec.norm", "zip", Errc::kCorrupt, "bad_codec"},
                             {"codec.norm", "lowrank", Errc::kCorrupt, "bad_part"},
                             {"codec.gone", "lowrank", Errc::kCorrupt, "missing_part"},
                             {"codec.gone", "raw", Errc::kCorrupt, "missing_part"},
                             {"codec.norm", "same", Errc::kCorrupt, "bad_part"},
                             {"codec.l1.row", "sign1-sparse", Errc::kCorrupt, "missing_part"}};
  for (const Changed& change : changes) {
    auto metadata = DeltaMetadata(sample.header);
    metadata.erase(change.key);
    if (change.value != nullptr) metadata[change.key] = change.value;
    EXPECT_THAT(OpenBytes(RawDelta(sample, metadata)),
                FailsWith(change.code, change.reason, "d.safe"))
        << change.key << "=" << (change.value == nullptr ? "" : change.value);
  }
}

TEST(DeltaReader, NamesAMissingPart) {
  const std::pair<const char*, const char*> parts[] = {{"l0.rowcol.sign", "'l0.rowcol'"},
                                                       {"l0.rowcol.scale.row", "'l0.rowcol'"},
                                                       {"l1.row.scale.row", ".scale.row"},
                                                       {"l2.tensor.scale", "'l2.tensor'"},
                                                       {"l2.tensor.sign", ".sign"},
                                                       {"l3.sparse.sign", "'l3.sparse'"},
                                                       {"l3.sparse.scale.row", "'l3.sparse'"},
                                                       {"embed.sign", "'embed'"},
                                                       {"embed.scale.row", "'embed'"},
                                                       {"odd.scale", "'odd.scale'"},
                                                       {"signum.recipe", "signum.recipe"}};
  for (const auto& [part, text] : parts) {
    SampleDelta sample = MakeSampleDelta();
    sample.Remove(part);
    EXPECT_THAT(OpenBytes(RawDelta(sample)), FailsWith(Errc::kCorrupt, "missing_part", text))
        << part;
  }
}

TEST(DeltaReader, RefusesPartsThatDoNotFit) {
  const Reshaped cases[] = {
      {"l0.rowcol.sign", Dtype::kI8, {3, 2}},     {"l0.rowcol.sign", Dtype::kU8, {6}},
      {"l0.rowcol.sign", Dtype::kU8, {3, 3}},     {"l0.rowcol.scale.row", Dtype::kF32, {4}},
      {"l0.rowcol.scale.row", Dtype::kF64, {3}},  {"l0.rowcol.scale.row", Dtype::kF32, {3, 1}},
      {"l0.rowcol.scale.col", Dtype::kF32, {17}}, {"l0.rowcol.scale.col", Dtype::kF32, {8}},
      {"l2.tensor.scale", Dtype::kF32, {2}},      {"l2.tensor.scale", Dtype::kF32, {}},
      {"l3.sparse.mask", Dtype::kU8, {4}},        {"l3.sparse.sign", Dtype::kU8, {1, 1}},
      {"l3.sparse.sign", Dtype::kU8, {5}},  // more signs than weights
      {"embed.rows", Dtype::kI64, {3}},           {"embed.rows", Dtype::kI32, {4}},
      {"embed.values", Dtype::kBF16, {2, 5}},     {"embed.values", Dtype::kBF16, {1, 9}},
      {"embed.scale.row", Dtype::kF32, {3}},      {"signum.recipe", Dtype::kU8, {1, 900}},
      {"signum.recipe", Dtype::kI8, {900}}};
  for (const Reshaped& change : cases) {
    SampleDelta sample = MakeSampleDelta();
    TestTensor& part = sample.Part(change.part);
    part = Counting({change.part, change.dtype, change.shape});
    const std::string weight = std::string(change.part).substr(0, 5);  // "l0.ro", "signu"
    EXPECT_THAT(OpenBytes(RawDelta(sample)), FailsWith(Errc::kCorrupt, "bad_part", weight))
        << change.part << " as " << part.info.Describe();
  }
}

TEST(DeltaReader, RefusesPartsThatDoNotBelong) {
  for (const char* name :
       {"l1.row.rows", "l1.row.scale", "l2.tensor.scale.col", "embed.scale.col", "embed.scale",
        "embed.mask", "norm.sign", "same.w.sign", "same.w", "l1.row.sign.8", "l1.row.sign.01",
        "norm.lora_a", "l1.row.lora_b", "signum.other", "signum.blob.00"}) {
    SampleDelta sample = MakeSampleDelta();
    sample.tensors.push_back(Counting({name, Dtype::kU8, {2}}));
    EXPECT_THAT(OpenBytes(RawDelta(sample)), FailsWith(Errc::kCorrupt, "bad_part", "d.safetensors"))
        << name;
  }
}

TEST(DeltaReader, RefusesRowsThatDoNotAscend) {
  const std::string bad[] = {std::string("\1\0\0\0\1\0\0\0\2\0\0\0", 12),
                             std::string("\4\0\0\0\1\0\0\0\6\0\0\0", 12),
                             std::string("\xff\xff\xff\xff\1\0\0\0\6\0\0\0", 12)};
  for (const std::string& rows : bad) {
    SampleDelta sample = MakeSampleDelta();
    sample.Part("embed.rows").data = rows;
    EXPECT_THAT(OpenBytes(RawDelta(sample)), FailsWith(Errc::kCorrupt, "bad_part", "'embed.rows'"));
  }
}

TEST(DeltaReader, RefusesABrokenRecipe) {
  SampleDelta sample = MakeSampleDelta();
  sample.Part("signum.recipe").data[0] = '[';
  EXPECT_THAT(OpenBytes(RawDelta(sample)),
              FailsWith(Errc::kCorrupt, "bad_recipe", "d.safetensors"));
}

TEST(DeltaReader, WantsItsDataOn256Bytes) {
  const SampleDelta sample = MakeSampleDelta();
  std::vector<SafetensorsEntry> entries;
  std::string data;
  for (const TestTensor& tensor : sample.tensors) {
    entries.push_back({tensor.info, 0, 0});
    data += tensor.data;
  }
  const std::string header =
      BuildSafetensorsHeader(entries, DeltaMetadata(sample.header), 256) + std::string(8, ' ');
  std::string moved = header + data;
  StoreLe<uint64_t>(moved.data(), header.size() - 8);
  EXPECT_THAT(OpenBytes(moved), FailsWith(Errc::kCorrupt, "bad_metadata", "256"));
}

TEST(DeltaReader, FindsDamageInContents) {
  const std::tuple<const char*, size_t, char> damages[] = {
      {"l0.rowcol.sign", 1, '\x1a'},       // column 12 of 12
      {"l3.sparse.mask", 1, '\x80'},       // column 15 of 9
      {"l3.sparse.mask", 2, '\0'},         // fewer bits, still one byte of signs: padding is dirty
      {"l3.sparse.sign", 0, '\x35'},       // a sixth sign
      {"embed.sign", 0, '\x3f'},           // column 5 of 5
      {"l2.tensor.scale", 3, '\x7f'},      // with the next byte: NaN
      {"l0.rowcol.scale.col", 3, '\x7f'},  // NaN
  };
  for (const auto& [part, at, byte] : damages) {
    SampleDelta sample = MakeSampleDelta();
    sample.Part(part).data[at] = byte;
    if (byte == '\x7f') sample.Part(part).data[at - 1] = '\xff';
    const auto reader = OpenBytes(RawDelta(sample));
    ASSERT_THAT(reader, Ok());
    EXPECT_THAT((*reader)->CheckContents(), FailsWith(Errc::kCorrupt, "bad_part", "")) << part;
  }
  SampleDelta sample = MakeSampleDelta();
  sample.Part("l3.sparse.mask").data = "\xff\x01\xff\x01";  // 18 changed, 1 byte of signs
  EXPECT_THAT(OpenBytes(RawDelta(sample)).value()->CheckContents(),
              FailsWith(Errc::kCorrupt, "bad_part", "18"));
  sample = MakeSampleDelta();
  sample.Part(BlobName(MakeSampleRecipe().files[0].digest)).data[3] = 'X';
  EXPECT_THAT(OpenBytes(RawDelta(sample)).value()->CheckContents(),
              FailsWith(Errc::kCorrupt, "bad_part", "digest"));
}

TEST(DeltaWriter, ReadsBackWhatIsComplete) {
  const TempDir dir;
  const auto writer = DeltaWriter::Create(dir / "d").value();
  ASSERT_THAT(writer->Add({"a", Dtype::kU8, {2}}, AsBytes("xy")), Ok());
  ASSERT_THAT(writer->Begin({"b", Dtype::kU8, {3}}), Ok());
  EXPECT_THAT(writer->Written("a"), FailsWith(Errc::kInvalid, "size_mismatch", "'b'"));
  ASSERT_THAT(writer->Append(AsBytes("123")), Ok());
  const auto a = writer->Written("a").value();
  EXPECT_EQ(Bytes(*a), "xy");
  EXPECT_EQ(Bytes(*writer->Written("b").value()), "123");
  std::byte past[2];
  EXPECT_THAT(a->Read(1, past), FailsWith(Errc::kInvalid, "out_of_range", ""));
  EXPECT_THAT(writer->Written("c"), FailsWith(Errc::kNotFound, "unknown_tensor", "'c'"));
}

TEST(Codec, KeepsItsPersistedNamesAndNumbers) {
  const char* const names[] = {"same", "sign1", "sign1-sparse", "rows", "raw", "lowrank"};
  for (size_t i = 0; i < std::size(names); ++i) {
    EXPECT_EQ(CodecName(static_cast<Codec>(i)), names[i]);
    EXPECT_EQ(CodecFromName(names[i]), static_cast<Codec>(i));
  }
  EXPECT_FALSE(CodecFromName("sign"));
  EXPECT_EQ(ScaleKindFromName("row+col"), ScaleKind::kRowCol);
  EXPECT_EQ(ScaleKindName(ScaleKind::kTensor), "tensor");
  EXPECT_FALSE(ScaleKindFromName("col"));
}

}  // namespace
}  // namespace signum
