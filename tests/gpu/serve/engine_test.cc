#include "gpu/serve/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

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

// The base and deltas of every kind beside it.
class EngineBatch : public testing::Test {
 protected:
  EngineBatch() : engine_(OpenTiny("base")) {
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
    deltas_.push_back(MakeDelta(engine_.checkpoint, OpenTiny(fine), options, *dirs_.back()));
    tenants_.push_back(engine_.Open(deltas_.back()));
  }

  static std::vector<int32_t> Prompt(size_t i) {
    std::vector<int32_t> prompt{1};
    for (size_t t = 0; t < 5 + 7 * i; ++t) {
      prompt.push_back(static_cast<int32_t>(300 + (t * 37 + i * 101) % 3500));
    }
    return prompt;
  }

  TestEngine engine_;
  std::vector<std::unique_ptr<TempDir>> dirs_;
  std::vector<TestDelta> deltas_;
  std::vector<std::shared_ptr<const TenantWeights>> tenants_;
};

// The logits of each prompt token, tenant by tenant alone, a whole prompt a step.
TEST_F(EngineBatch, LogitsAreThoseOfBaseAndDeltaAsOneModel) {
  for (size_t i = 1; i < tenants_.size(); ++i) {
    const TestCheckpoint fine = OpenTiny(i == 2 || i == 5 ? "pysrc" : i == 3 ? "sqlite" : "kjv");
    const auto student = *Student::Create(
        *engine_.backend, {engine_.checkpoint.checkpoint, fine.checkpoint, deltas_[i - 1].reader,
                           OpenRebuilder(engine_.checkpoint, deltas_[i - 1])});
    TestModel model(fine, student);
    TestSequence sequence(engine_, tenants_[i], Prompt(i), 64);
    StepAll(engine_, {&sequence}, {static_cast<int64_t>(sequence.tokens.size())});
    std::vector<float> got;
    for (const auto& row : sequence.logits) got.insert(got.end(), row.begin(), row.end());
    const TokenRows rows{sequence.tokens, static_cast<int64_t>(sequence.tokens.size())};
    EXPECT_LE(RelativeDistance(got, model.LogitsOf(rows)), 2e-5) << i;
  }
}

TEST_F(EngineBatch, BatchesGiveTheBitsOfOneAtATime) {
  std::vector<std::vector<std::vector<float>>> alone;
  std::vector<std::vector<int32_t>> tokens;
  for (size_t i = 0; i < tenants_.size(); ++i) {
    TestSequence sequence(engine_, tenants_[i], Prompt(i), 64);
    for (size_t t = 0; t < 8; ++t) {
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

TEST_F(EngineBatch, ASharedPrefixGivesTheSameBits) {
  const std::vector<int32_t> prompt = Prompt(5);
  TestSequence first(engine_, tenants_[1], prompt, 64);
  StepAll(engine_, {&first}, {static_cast<int64_t>(prompt.size())});
  TestSequence again(engine_, tenants_[1], prompt, 64);
  EXPECT_EQ(again.computed, 32);  // two blocks of 16 of 41 tokens
  TestSequence other(engine_, tenants_[2], prompt, 64);
  EXPECT_EQ(other.computed, 0);  // another delta's
  StepAll(engine_, {&again}, {static_cast<int64_t>(prompt.size()) - 32});
  for (size_t t = 32; t < prompt.size(); ++t) EXPECT_EQ(again.logits[t], first.logits[t]);
}

TEST_F(EngineBatch, TooManyRowsAreRefused) {
  TestSequence sequence(engine_, tenants_[0], std::vector<int32_t>(65, 5), 80);
  const std::vector<SequenceStep> steps{sequence.Next(65)};
  EXPECT_THAT(engine_.engine->Step(steps), FailsWith(Errc::kInternal, "step_too_large", "65"));
}

// ---- codecs that are no plane of signs

// Every codec at once: a fine-tune whose tensors differ from the base's in another way each.
class EngineCodecs : public testing::Test {
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
    TestEngine engine(OpenTiny("base"));
    TempDir dir;
    const TestDelta delta = MakeDelta(engine.checkpoint, fine, options, dir);
    for (const auto& [name, codec] : codecs) EXPECT_EQ(delta.CodecOf(name), codec) << name;
    const auto student =
        *Student::Create(*engine.backend, {engine.checkpoint.checkpoint, fine.checkpoint,
                                           delta.reader, OpenRebuilder(engine.checkpoint, delta)});
    TestModel model(fine, student);
    TestSequence sequence(engine, engine.Open(delta), {1, 20, 300, 4000, 77, 5}, 16);
    StepAll(engine, {&sequence}, {6});
    std::vector<float> got;
    for (const auto& row : sequence.logits) got.insert(got.end(), row.begin(), row.end());
    EXPECT_LE(RelativeDistance(got, model.LogitsOf({sequence.tokens, 6})), tolerance);
  }
};

TEST_F(EngineCodecs, SparseRawAndSame) {
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

TEST_F(EngineCodecs, Lowrank) {
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

TEST_F(EngineCodecs, AGrownVocabularyHasLogitsOfItsOwn) {
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
  TestEngine engine(OpenTiny("base"));
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

}  // namespace
}  // namespace signum
