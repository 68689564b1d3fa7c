#include "tests/storage/format/sample_delta.h"

#include <algorithm>

#include "storage/format/delta_metadata.h"

namespace signum {

namespace {

constexpr std::string_view kBlob = "{\"architectures\":[\"LlamaForCausalLM\"]}";

TestTensor Bits(std::string name, std::vector<uint64_t> shape, std::string data) {
  return {{std::move(name), Dtype::kU8, std::move(shape)}, std::move(data)};
}

TestTensor Scale(std::string name, const std::vector<float>& values) {
  return {{std::move(name), Dtype::kF32, {values.size()}}, Floats(values)};
}

TestTensor Rows(std::string name, const std::vector<int32_t>& rows) {
  std::string data(rows.size() * sizeof(int32_t), '\0');
  std::memcpy(data.data(), rows.data(), data.size());
  return {{std::move(name), Dtype::kI32, {rows.size()}}, std::move(data)};
}

Digest DigestOf(std::string_view text) { return Sha256::Of(AsBytes(text)); }

}  // namespace

std::string Floats(const std::vector<float>& values) {
  std::string data(values.size() * sizeof(float), '\0');
  std::memcpy(data.data(), values.data(), data.size());
  return data;
}

TestTensor& SampleDelta::Part(std::string_view name) {
  const auto at = std::find_if(tensors.begin(), tensors.end(),
                               [&](const TestTensor& t) { return t.info.name == name; });
  if (at == tensors.end()) throw std::logic_error("no part " + std::string(name));
  return *at;
}

void SampleDelta::Remove(std::string_view name) {
  tensors.erase(tensors.begin() + (&Part(name) - tensors.data()));
}

Recipe MakeSampleRecipe() {
  RecipeFile config{"config.json", kBlob.size(), DigestOf(kBlob), false, {}, 0, {}};
  RecipeFile weights{"model.safetensors", 4000, DigestOf("weights"),           true,
                     DigestOf("header"),  808,  {DigestOf("a"), DigestOf("b")}};
  return {{config, weights}};
}

BackupIndex MakeSampleBackup() {
  return {3,
          "2026-11-23T16:44:01.000123Z",
          1080,
          {{"signing.key", "3-signing.key", 32, "00000000", 0600},
           {"store/db/000012.sst", "1a2b3c4d-1048-000012.sst", 1048, "1a2b3c4d", 0644}}};
}

SampleDelta MakeSampleDelta() {
  SampleDelta sample;
  sample.header.base = DigestOf("base");
  sample.header.codec = "sign1";
  sample.header.scales = "row+col";
  sample.header.codecs = {{"embed", Codec::kRows},      {"head", Codec::kRows},
                          {"l0.rowcol", Codec::kSign1}, {"l1.row", Codec::kSign1},
                          {"l2.tensor", Codec::kSign1}, {"l3.sparse", Codec::kSign1Sparse},
                          {"norm", Codec::kRaw},        {"odd.scale", Codec::kRaw},
                          {"same.w", Codec::kSame},     {"zero.rows", Codec::kRaw}};
  sample.tensors = {
      Bits(SignName("l0.rowcol"), {3, 2}, "\x05\x0a\xff\x0f\x81\x08"),
      Scale(RowScaleName("l0.rowcol"), {0.5F, 0.25F, 1}),
      Scale(ColScaleName("l0.rowcol"), {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}),
      Bits(SignName("l1.row"), {2, 2}, "\x01\x02\x03\x04"),
      Scale(RowScaleName("l1.row"), {0.125F, 8}),
      Bits(SignName("l2.tensor"), {512, 1}, std::string(512, '\x5a')),
      Scale(ScaleName("l2.tensor"), {0.001F}),
      Bits(MaskName("l3.sparse"), {2, 2}, std::string("\x81\x00\x03\x01", 4)),  // 5 changed
      Bits(SignName("l3.sparse"), {1}, "\x15"),
      Scale(RowScaleName("l3.sparse"), {2, 4}),
      Scale(ColScaleName("l3.sparse"), std::vector<float>(9, 1.5F)),
      Rows(RowsName("embed"), {1, 4, 6}),
      Bits(SignName("embed"), {2, 1}, "\x1f\x03"),
      Scale(RowScaleName("embed"), {0.5F, 0.75F}),
      Counting({ValuesName("embed"), Dtype::kBF16, {1, 5}}),
      Rows(RowsName("head"), {0, 2}),
      Counting({ValuesName("head"), Dtype::kF16, {2, 3}}),
      Counting({"norm", Dtype::kF32, {4}}),
      Counting({"odd.scale", Dtype::kF64, {1}}),
      Counting({"zero.rows", Dtype::kF32, {0, 4}}),
      Bits(BlobName(DigestOf(kBlob)), {kBlob.size()}, std::string(kBlob))};
  const std::string recipe = MakeSampleRecipe().Serialize();
  sample.tensors.push_back(Bits(std::string(kRecipeName), {recipe.size()}, recipe));
  return sample;
}

SampleDelta MakePlanesSample() {
  SampleDelta sample;
  sample.header.base = DigestOf("base");
  sample.header.codec = "sign1";
  sample.header.scales = "row+col";
  sample.header.codecs = {{"p0.rowcol", Codec::kSign1},       {"p1.tensor", Codec::kSign1},
                          {"p2.sparse", Codec::kSign1Sparse}, {"p3.rows", Codec::kRows},
                          {"p4.lora", Codec::kLowrank},       {"odd.sign.1", Codec::kRaw}};
  for (int plane = 0; plane < 3; ++plane) {
    sample.tensors.push_back(
        Bits(SignName("p0.rowcol", plane), {3, 2}, "\x05\x0a\xff\x0f\x81\x08"));
    sample.tensors.push_back(Scale(RowScaleName("p0.rowcol", plane), {0.5F, 0.25F, 1}));
    sample.tensors.push_back(
        Scale(ColScaleName("p0.rowcol", plane), {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
  }
  for (int plane = 0; plane < 2; ++plane) {
    sample.tensors.push_back(Bits(SignName("p1.tensor", plane), {4, 1}, "\x5a\x01\x02\x03"));
    sample.tensors.push_back(Scale(ScaleName("p1.tensor", plane), {0.001F}));
    sample.tensors.push_back(Bits(SignName("p2.sparse", plane), {1}, plane == 0 ? "\x15" : "\x0a"));
    sample.tensors.push_back(Scale(RowScaleName("p2.sparse", plane), {2, 4}));
    sample.tensors.push_back(Bits(SignName("p3.rows", plane), {2, 1}, "\x1f\x03"));
    sample.tensors.push_back(Scale(RowScaleName("p3.rows", plane), {0.5F, 0.75F}));
  }
  sample.tensors.push_back(Bits(MaskName("p2.sparse"), {2, 2}, std::string("\x81\x00\x03\x01", 4)));
  sample.tensors.push_back(Rows(RowsName("p3.rows"), {1, 4}));
  sample.tensors.push_back(Counting({LoraAName("p4.lora"), Dtype::kBF16, {2, 12}}));
  sample.tensors.push_back(Counting({LoraBName("p4.lora"), Dtype::kF32, {3, 2}}));
  sample.tensors.push_back(Scale(ScaleName("p4.lora"), {2}));
  sample.tensors.push_back(Counting({"odd.sign.1", Dtype::kF32, {4}}));
  const std::string recipe = MakeSampleRecipe().Serialize();
  sample.tensors.push_back(Bits(std::string(kRecipeName), {recipe.size()}, recipe));
  return sample;
}

std::vector<BaseTensor> MakeSampleBase() {
  return {{{"lm_head.weight", Dtype::kBF16, {4096, 192}}, DigestOf("head")},
          {{"model.norm.weight", Dtype::kF32, {192}}, DigestOf("norm")},
          {{"scalar", Dtype::kI64, {}}, DigestOf("scalar")}};
}

Manifest MakeSampleManifest() {
  Manifest m;
  m.tenant = "acme";
  m.model = "support-bot";
  m.version = 7;
  m.base = "llama";
  m.base_digest = DigestOf("base");
  m.delta_size = 2 * kChunkBytes + 1;
  m.delta_digest = DigestOf("delta");
  m.chunks = {DigestOf("chunk 0"), DigestOf("chunk 1"), DigestOf("chunk 2")};
  m.codec = "sign1";
  m.scales = "row+col";
  m.embeddings = "onebit";
  m.method = "none";
  m.architecture = "LlamaForCausalLM";
  m.tensors = {{{"lm_head.weight", Dtype::kBF16, {4096, 192}}, Codec::kRows, 123'456},
               {{"model.norm.weight", Dtype::kF32, {192}}, Codec::kSame, 0}};
  m.recipe = MakeSampleRecipe();
  m.fidelity_json = R"({"kl":0.0047,"logit_mse":0.0112,"top1":0.941})";
  m.calibration_json = R"({"seed":1,"source":"self","tokens":25600})";
  m.creator = "token:5f2c";
  m.created = "2026-11-23T16:44:01.000123Z";
  return m;
}

Result<DeltaWriter::Sealed> WriteDelta(const SampleDelta& sample,
                                       const std::filesystem::path& path) {
  SIGNUM_ASSIGN(const auto writer, DeltaWriter::Create(path));
  for (const TestTensor& tensor : sample.tensors) {
    SIGNUM_TRY(writer->Add(tensor.info, AsBytes(tensor.data)));
  }
  return writer->Finish(sample.header);
}

std::string RawDelta(const SampleDelta& sample) {
  return RawDelta(sample, DeltaMetadata(sample.header));
}

std::string RawDelta(const SampleDelta& sample,
                     const std::map<std::string, std::string>& metadata) {
  std::vector<SafetensorsEntry> entries;
  std::string data;
  for (const TestTensor& tensor : sample.tensors) {
    entries.push_back({tensor.info, 0, 0});
    data += tensor.data;
  }
  return BuildSafetensorsHeader(entries, metadata, kDeltaAlignment) + data;
}

}  // namespace signum
