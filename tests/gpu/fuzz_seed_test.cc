// The seeds of tests/fuzz/rebuild_fuzz.cc are golden deltas too: every build and machine must make
// these bytes. With SIGNUM_WRITE_SEEDS set they are written anew.

#include <gtest/gtest.h>

#include <cstdlib>

#include "gpu/merged_adapter.h"
#include "tests/fuzz/rebuild_base.h"
#include "tests/gpu/codec_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

TestCheckpoint SeedFine() {
  const TestTensor dense = Counting({"a.weight", Dtype::kBF16, {24, 50}});
  TestTensor changed = dense;
  for (size_t i = 0; i < changed.data.size(); i += 2)
    changed.data[i] ^= static_cast<char>(i % 5 + 1);
  TestTensor sparse = Counting({"b.weight", Dtype::kF32, {32, 32}});
  for (size_t i = 0; i < sparse.data.size(); i += 36) sparse.data[i] ^= 1;
  TestTensor head = Counting({"lm_head.weight", Dtype::kBF16, {43, 32}});
  head.data[128] ^= 3;
  return MakeCheckpoint({changed, sparse, head, Counting({"norm.weight", Dtype::kF32, {50}})});
}

TEST(FuzzSeeds, RebuildAgainstTheirBase) {
  const RebuildBase made = MakeRebuildBase();
  const TestCheckpoint base{made.checkpoint, made.hashed, made.blobs};
  const TestCheckpoint fine = SeedFine();
  const std::filesystem::path seeds =
      std::filesystem::path(SIGNUM_TEST_DATA) / "../fuzz/seeds/rebuild";
  for (const auto& [name, kind] : {std::pair{"tensor", ScaleKind::kTensor},
                                   {"row", ScaleKind::kRow},
                                   {"row_col", ScaleKind::kRowCol}}) {
    for (bool exact : {false, true}) {
      CompressOptions options;
      options.scales = kind;
      options.exact_embeddings = exact;
      const auto path = seeds / (std::string(name) + (exact ? "_exact" : "") + ".delta");
      if (std::getenv("SIGNUM_WRITE_SEEDS") != nullptr) {
        std::filesystem::create_directories(seeds);
        ASSERT_THAT(Compress(base, fine, options, path), Ok());
      }
      const TempDir dir;
      const TestDelta delta = MakeDelta(base, fine, options, dir);
      EXPECT_EQ(delta.CodecOf("a.weight"), Codec::kSign1);
      EXPECT_EQ(delta.CodecOf("b.weight"), Codec::kSign1Sparse);
      EXPECT_EQ(delta.CodecOf("lm_head.weight"), Codec::kRows);
      EXPECT_EQ(*ReadFile(path, 1 << 20), *ReadFile(dir / "a.delta", 1 << 20)) << path;
      EXPECT_THAT(ReadAll(**OpenRebuilder(base, delta)->OpenFile("model.safetensors"), 1 << 20),
                  Ok());
    }
  }
}

// One more option each, in files of their own.
void ExpectSeed(const TestCheckpoint& base, const TestCheckpoint& fine,
                const CompressOptions& options, const std::string& name) {
  const std::filesystem::path path =
      std::filesystem::path(SIGNUM_TEST_DATA) / "../fuzz/seeds/rebuild" / name;
  if (std::getenv("SIGNUM_WRITE_SEEDS") != nullptr) {
    ASSERT_THAT(Compress(base, fine, options, path), Ok());
  }
  const TempDir dir;
  const TestDelta delta = MakeDelta(base, fine, options, dir);
  EXPECT_EQ(*ReadFile(path, 1 << 20), *ReadFile(dir / "a.delta", 1 << 20)) << path;
  EXPECT_THAT(ReadAll(**OpenRebuilder(base, delta)->OpenFile("model.safetensors"), 1 << 20), Ok());
}

TEST(FuzzSeeds, PlanesAndFactors) {
  const RebuildBase made = MakeRebuildBase();
  const TestCheckpoint base{made.checkpoint, made.hashed, made.blobs};
  CompressOptions options;
  options.planes = 3;
  ExpectSeed(base, SeedFine(), options, "planes.delta");
  std::vector<TestTensor> factors;
  for (const auto& [name, n, k] : {std::tuple<std::string, uint64_t, uint64_t>{"a", 24, 50},
                                   {"b", 32, 32},
                                   {"lm_head", 40, 32}}) {
    factors.push_back(
        Counting({"base_model.model." + name + ".lora_A.weight", Dtype::kBF16, {3, k}}));
    factors.push_back(
        Counting({"base_model.model." + name + ".lora_B.weight", Dtype::kF16, {n, 3}}));
  }
  const auto adapter = *Checkpoint::ParseFineTune(
      {{"adapter_config.json", Source(R"({"peft_type":"LORA","r":3,"lora_alpha":2})")},
       {"adapter_model.safetensors", Source(MakeSafetensors(factors))}});
  const MergedAdapter merged = *MergeAdapter(made.checkpoint->files(), *adapter);
  options = {};
  options.factors = merged.factors;
  ExpectSeed(base, Hashed(merged.checkpoint), options, "lowrank.delta");
}

}  // namespace
}  // namespace signum
