#include "gpu/serve/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "gpu/serve/device_image.h"
#include "storage/format/delta_file.h"
#include "tests/gpu/serve/serve_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

nlohmann::json Golden() {
  std::ifstream file(std::string(SIGNUM_TEST_DATA) + "/golden/greedy.json");
  return nlohmann::json::parse(file);
}

CompressOptions With(bool exact_embeddings, int planes) {
  CompressOptions options;
  options.exact_embeddings = exact_embeddings;
  options.planes = planes;
  return options;
}

// ---- against PyTorch

class EngineGreedy : public testing::TestWithParam<std::string> {};

TEST_P(EngineGreedy, TokensArePyTorchs) {
  const nlohmann::json golden = Golden();
  TestEngine engine(OpenTiny(GetParam()));
  for (size_t i = 0; i < golden["prompts"].size(); ++i) {
    const auto prompt = golden["prompts"][i]["ids"].get<std::vector<int32_t>>();
    const auto expected = golden["models"][GetParam()][i].get<std::vector<int32_t>>();
    EXPECT_EQ(GreedyAlone(engine, engine.plain, prompt, static_cast<int64_t>(expected.size())),
              expected)
        << golden["prompts"][i]["text"];
  }
}

INSTANTIATE_TEST_SUITE_P(Family, EngineGreedy, testing::Values("base", "kjv", "pysrc", "sqlite"));

// ---- many tenants in a batch

// The trained family on the CPU; the small random models of tests/data/golden/variants, of several
// kinds and with shorter texts, anywhere: in emulation the trained ones would take minutes.
struct Setting {
  TestDevice device;
  std::string model;  // "tiny": the trained family

  bool trained() const { return model == "tiny"; }
  int64_t block_tokens() const { return trained() ? 16 : 4; }
  size_t prompt_step() const { return trained() ? 7 : 2; }
  size_t drawn() const { return trained() ? 8 : 3; }
  TestCheckpoint Base() const { return trained() ? OpenTiny("base") : OpenVariant(model); }
  TestCheckpoint Fine(const std::string& name) const {
    return trained() ? OpenTiny(name) : OpenVariant(model, "fine");
  }
};

void PrintTo(const Setting& setting, std::ostream* out) {
  std::string model = setting.model;
  std::erase(model, '-');
  *out << model;
  PrintTo(setting.device, out);
}

// The base and deltas of every kind beside it.
class EngineBatch : public testing::TestWithParam<Setting> {
 protected:
  EngineBatch()
      : engine_(GetParam().Base(), GetParam().device, {64, GetParam().block_tokens(), 256}) {
    tenants_.push_back(engine_.plain);
    Add("kjv", With(false, 1));
    Add("pysrc", With(true, 1));
    Add("sqlite", With(false, 3));
    CompressOptions tensor = With(false, 1);
    tensor.scales = ScaleKind::kTensor;
    Add("kjv", tensor);
    CompressOptions raw;
    raw.codec = Codec::kRaw;
    Add("pysrc", raw);
  }

  void Add(const std::string& fine, const CompressOptions& options) {
    dirs_.push_back(std::make_unique<TempDir>());
    fines_.push_back(GetParam().Fine(fine));
    deltas_.push_back(MakeDelta(engine_.checkpoint, fines_.back(), options, *dirs_.back()));
    tenants_.push_back(engine_.Open(deltas_.back()));
  }

  std::vector<int32_t> Prompt(size_t i) const {
    const auto vocabulary = static_cast<size_t>(engine_.plain->vocabulary());
    std::vector<int32_t> prompt{1};
    for (size_t t = 0; t < 5 + GetParam().prompt_step() * i; ++t) {
      prompt.push_back(static_cast<int32_t>(3 + (297 + t * 37 + i * 101) % (vocabulary - 3)));
    }
    return prompt;
  }

  TestEngine engine_;
  std::vector<std::unique_ptr<TempDir>> dirs_;
  std::vector<TestCheckpoint> fines_;
  std::vector<TestDelta> deltas_;
  std::vector<std::shared_ptr<const TenantWeights>> tenants_;
};

INSTANTIATE_TEST_SUITE_P(Settings, EngineBatch,
                         testing::Values(Setting{TestDevice::kCpu, "tiny"},
                                         Setting{TestDevice::kCpu, "qwen3"},
                                         Setting{TestDevice::kEmulated, "llama2-tied"},
                                         Setting{TestDevice::kEmulated, "mistral"},
                                         Setting{TestDevice::kEmulated, "qwen2"},
                                         Setting{TestDevice::kEmulated, "qwen3"}),
                         testing::PrintToStringParamName());

// The logits of each prompt token, tenant by tenant alone, a whole prompt a step.
TEST_P(EngineBatch, LogitsAreThoseOfBaseAndDeltaAsOneModel) {
  const auto cpu = ops::MakeCpuBackend();
  for (size_t i = 1; i < tenants_.size(); ++i) {
    const TestCheckpoint& fine = fines_[i - 1];
    const auto student = *Student::Create(
        *cpu, {engine_.checkpoint.checkpoint, fine.checkpoint, deltas_[i - 1].reader,
               OpenRebuilder(engine_.checkpoint, deltas_[i - 1]), nullptr});
    TestModel model(fine, student);
    TestSequence sequence(engine_, tenants_[i], Prompt(i), 64);
    StepAll(engine_, {&sequence}, {static_cast<int64_t>(sequence.tokens.size())});
    std::vector<float> got;
    for (const auto& row : sequence.logits) got.insert(got.end(), row.begin(), row.end());
    const TokenRows rows{sequence.tokens, static_cast<int64_t>(sequence.tokens.size())};
    EXPECT_LE(RelativeDistance(got, model.LogitsOf(rows)), 2e-5) << i;
  }
}

// Tokens, not bits: a device adds in another order.
TEST_P(EngineBatch, GreedyTokensAreThoseOfTheCpu) {
  TestEngine cpu(GetParam().Base());
  for (const size_t i : {0, 1, 5}) {
    const auto here = i == 0 ? cpu.plain : cpu.Open(deltas_[i - 1]);
    EXPECT_EQ(GreedyAlone(engine_, tenants_[i], Prompt(i), 3), GreedyAlone(cpu, here, Prompt(i), 3))
        << i;
  }
}

TEST_P(EngineBatch, BatchesGiveTheBitsOfOneAtATime) {
  std::vector<std::vector<std::vector<float>>> alone;
  std::vector<std::vector<int32_t>> tokens;
  for (size_t i = 0; i < tenants_.size(); ++i) {
    TestSequence sequence(engine_, tenants_[i], Prompt(i), 64);
    for (size_t t = 0; t < GetParam().drawn(); ++t) {
      const auto size = static_cast<int64_t>(sequence.tokens.size());
      StepAll(engine_, {&sequence}, {size - sequence.computed});
      sequence.TakeGreedy();
    }
    alone.push_back(sequence.logits);
    tokens.push_back(sequence.tokens);
  }
  // Prompts in pieces of two tokens beside others that decode, all in one batch.
  std::vector<std::unique_ptr<TestSequence>> sequences;
  for (size_t i = 0; i < tenants_.size(); ++i) {
    sequences.push_back(
        std::make_unique<TestSequence>(engine_, tenants_[i], Prompt(i), 64, "again"));
  }
  for (bool open = true; open;) {
    std::vector<TestSequence*> some;
    std::vector<int64_t> counts;
    for (size_t i = 0; i < sequences.size(); ++i) {
      const auto size = static_cast<int64_t>(sequences[i]->tokens.size());
      if (size == static_cast<int64_t>(tokens[i].size())) continue;
      some.push_back(sequences[i].get());
      counts.push_back(std::min<int64_t>(2, size - sequences[i]->computed));
    }
    open = !some.empty();
    if (!open) break;
    StepAll(engine_, some, counts);
    for (TestSequence* sequence : some) {
      const auto size = static_cast<int64_t>(sequence->tokens.size());
      if (sequence->computed == size) sequence->TakeGreedy();
    }
  }
  for (size_t i = 0; i < sequences.size(); ++i) {
    EXPECT_EQ(sequences[i]->tokens, tokens[i]) << i;
    EXPECT_EQ(sequences[i]->logits, alone[i]) << i;
  }
}

TEST_P(EngineBatch, ASharedPrefixGivesTheSameBits) {
  const std::vector<int32_t> prompt = Prompt(5);
  TestSequence first(engine_, tenants_[1], prompt, 64);
  StepAll(engine_, {&first}, {static_cast<int64_t>(prompt.size())});
  TestSequence again(engine_, tenants_[1], prompt, 64);
  const int64_t shared = again.computed;  // whole blocks: two of 16 of 41 tokens, three of 4 of 16
  EXPECT_EQ(shared, GetParam().trained() ? 32 : 12);
  TestSequence other(engine_, tenants_[2], prompt, 64);
  EXPECT_EQ(other.computed, 0);  // another delta's
  StepAll(engine_, {&again}, {static_cast<int64_t>(prompt.size()) - shared});
  for (auto t = static_cast<size_t>(shared); t < prompt.size(); ++t)
    EXPECT_EQ(again.logits[t], first.logits[t]);
}

TEST_P(EngineBatch, TooManyRowsAreRefused) {
  TestSequence sequence(engine_, tenants_[0], std::vector<int32_t>(65, 5), 80);
  const std::vector<SequenceStep> steps{sequence.Next(65)};
  EXPECT_THAT(engine_.engine->Step(steps), FailsWith(Errc::kInternal, "step_too_large", "65"));
}

// ---- codecs that are no plane of signs

// Every codec at once: a fine-tune whose tensors differ from the base's in another way each.
class EngineCodecs : public testing::TestWithParam<TestDevice> {
 protected:
  // The base with some tensors replaced by `edit`.
  static TestCheckpoint Edited(
      const std::function<void(const TensorInfo&, std::vector<float>&)>& edit) {
    const TestCheckpoint base = OpenTiny("base");
    std::vector<TestTensor> tensors;
    for (size_t i = 0; i < base.checkpoint->tensors().size(); ++i) {
      const TensorInfo& info = base.checkpoint->tensors()[i];
      std::vector<float> values =
          Values(info, AsBytes(ReadWhole(*base.checkpoint->Open(i).value())));
      edit(info, values);
      tensors.push_back(MakeTensor(info.name, info.dtype, info.shape, values));
    }
    return WithConfig(tensors, base.checkpoint->config_json());
  }

  static TestCheckpoint WithConfig(const std::vector<TestTensor>& tensors,
                                   const std::string& config) {
    std::vector<CheckpointFile> files;
    files.push_back({"config.json", std::make_shared<MemorySource>(config)});
    files.push_back(
        {"model.safetensors", std::make_shared<MemorySource>(MakeSafetensors(tensors))});
    return Hashed(Checkpoint::Parse(std::move(files)).value());
  }

  // The logits of base + delta are those of the model that the delta is rebuilt as.
  static void ExpectServedAsRebuilt(const TestCheckpoint& fine, const CompressOptions& options,
                                    const std::map<std::string, Codec>& codecs, double tolerance) {
    const auto cpu = ops::MakeCpuBackend();
    TestEngine engine(OpenTiny("base"), GetParam());
    TempDir dir;
    const TestDelta delta = MakeDelta(engine.checkpoint, fine, options, dir);
    for (const auto& [name, codec] : codecs) EXPECT_EQ(delta.CodecOf(name), codec) << name;
    const auto student =
        *Student::Create(*cpu, {engine.checkpoint.checkpoint, fine.checkpoint, delta.reader,
                                OpenRebuilder(engine.checkpoint, delta), nullptr});
    TestModel model(fine, student);
    TestSequence sequence(engine, engine.Open(delta), {1, 20, 300, 4000, 77, 5}, 16);
    StepAll(engine, {&sequence}, {6});
    std::vector<float> got;
    for (const auto& row : sequence.logits) got.insert(got.end(), row.begin(), row.end());
    EXPECT_LE(RelativeDistance(got, model.LogitsOf({sequence.tokens, 6})), tolerance);
  }
};

INSTANTIATE_TEST_SUITE_P(Devices, EngineCodecs,
                         testing::Values(TestDevice::kCpu, TestDevice::kEmulated),
                         testing::PrintToStringParamName());

TEST_P(EngineCodecs, SparseRawAndSame) {
  const TestCheckpoint fine = Edited([](const TensorInfo& info, std::vector<float>& values) {
    if (info.name.find("q_proj") != info.name.npos) {  // a seventh of the weights, in no pattern
      const std::vector<float> chance = RandomValues(values.size(), 7, 1);
      for (size_t i = 0; i < values.size(); ++i) {
        if (std::abs(chance[i]) > 1.5F) values[i] += 0.05F * chance[i];
      }
    } else if (info.name.find("norm") != info.name.npos) {
      for (float& value : values) value *= 1.25F;
    }
  });
  ExpectServedAsRebuilt(fine, {},
                        {{"model.layers.0.self_attn.q_proj.weight", Codec::kSign1Sparse},
                         {"model.norm.weight", Codec::kRaw},
                         {"model.layers.0.self_attn.k_proj.weight", Codec::kSame}},
                        2e-5);
}

TEST_P(EngineCodecs, Lowrank) {
  const TestCheckpoint fine = Edited([](const TensorInfo& info, std::vector<float>& values) {
    if (info.name.find("up_proj") == info.name.npos) return;
    const size_t columns = info.shape[1];
    const std::vector<float> a = RandomValues(columns, 5, 0.3F);
    const std::vector<float> b = RandomValues(info.shape[0], 6, 0.3F);
    for (size_t i = 0; i < values.size(); ++i) values[i] += b[i / columns] * a[i % columns];
  });
  CompressOptions options;
  options.codec = Codec::kLowrank;
  // The sum is float32 here and rounded to bfloat16 there.
  ExpectServedAsRebuilt(fine, options, {{"model.layers.0.mlp.up_proj.weight", Codec::kLowrank}},
                        1e-2);
}

TEST_P(EngineCodecs, AGrownVocabularyHasLogitsOfItsOwn) {
  const TestCheckpoint base = OpenTiny("base");
  std::vector<TestTensor> tensors;
  for (size_t i = 0; i < base.checkpoint->tensors().size(); ++i) {
    TensorInfo info = base.checkpoint->tensors()[i];
    std::vector<float> values = Values(info, AsBytes(ReadWhole(*base.checkpoint->Open(i).value())));
    if (IsVocabularyTensor(info)) {
      info.shape[0] += 8;
      const std::vector<float> more = RandomValues(8 * info.shape[1], 3, 0.1F);
      values.insert(values.end(), more.begin(), more.end());
    }
    tensors.push_back(MakeTensor(info.name, info.dtype, info.shape, values));
  }
  std::string config = base.checkpoint->config_json();
  config.replace(config.find("4096"), 4, "4104");
  const TestCheckpoint fine = WithConfig(tensors, config);
  TestEngine engine(OpenTiny("base"), GetParam());
  TempDir dir;
  const TestDelta delta = MakeDelta(engine.checkpoint, fine, {}, dir);
  const auto grown = engine.Open(delta);
  EXPECT_EQ(grown->vocabulary(), 4104);
  TestModel model(fine);
  TestSequence sequence(engine, grown, {1, 4100, 4103, 9}, 16);
  TestSequence beside(engine, engine.plain, {1, 9, 10}, 16);
  StepAll(engine, {&beside, &sequence}, {3, 4});
  std::vector<float> got;
  for (const auto& row : sequence.logits) got.insert(got.end(), row.begin(), row.end());
  EXPECT_LE(RelativeDistance(got, model.LogitsOf({sequence.tokens, 4})), 1e-5);
  EXPECT_EQ(beside.logits[0].size(), 4096U);
}

// ---- on a device

TEST(EngineOnADevice, AnImageThatIsNotWhatWasSignedIsRefused) {
  TestEngine engine(OpenVariant("qwen2"), TestDevice::kEmulated);
  std::string bytes(3 * kChunkBytes / 2, 'x');
  const ops::Buffer<std::byte> memory(*engine.backend, bytes.size());
  std::vector<Digest> chunks{Sha256::Of(AsBytes(bytes).first(kChunkBytes)),
                             Sha256::Of(AsBytes(bytes).subspan(kChunkBytes))};
  const auto make = [&] {
    return MakeDeviceImage(*engine.backend, AsBytes(bytes), memory.data(), nullptr, chunks);
  };
  EXPECT_TRUE(make().has_value());
  bytes.back() = 'y';
  EXPECT_THAT(make(), FailsWith(Errc::kCorrupt, "device_mismatch", "chunk 1"));
  chunks.pop_back();
  EXPECT_THAT(make(), FailsWith(Errc::kInternal, "bad_chunks", "1 digests"));
}

// Signs are read where the image has them, not copied again.
TEST(EngineOnADevice, TensorsAreUsedWithinTheImage) {
  TestEngine engine(OpenVariant("qwen2"), TestDevice::kEmulated);
  TempDir dir;
  const TestDelta delta = MakeDelta(engine.checkpoint, OpenVariant("qwen2", "fine"), {}, dir);
  const ConstBytes file = delta.reader->file()->View();
  const auto memory = std::make_shared<ops::Buffer<std::byte>>(*engine.backend, file.size());
  const auto image =
      std::make_shared<const DeviceImage>(DeviceImage{file, {memory->data(), memory}});
  engine.backend->Upload(file.data(), memory->data(), file.size());
  const auto weights = TenantWeights::Open(engine.base, delta.reader, image).value();
  const auto* sign =
      reinterpret_cast<const std::byte*>(weights->weight(0, LinearKind::kDown).planes.at(0).sign);
  EXPECT_GE(sign, memory->data());
  EXPECT_LT(sign, memory->data() + memory->size());
}

}  // namespace
}  // namespace signum
