#include <gtest/gtest.h>

#include <numeric>

#include "storage/base/file.h"
#include "storage/format/checkpoint.h"
#include "tests/storage/format/format_support.h"
#include "tests/support/result_matchers.h"

namespace signum {
namespace {

struct Counted {
  std::vector<std::shared_ptr<const CountingSource>> sources;
  std::shared_ptr<const Checkpoint> checkpoint;

  uint64_t read() const {
    return std::accumulate(sources.begin(), sources.end(), uint64_t{0},
                           [](uint64_t sum, const auto& s) { return sum + s->read(); });
  }
};

Counted Open(const std::vector<std::pair<std::string, std::string>>& files) {
  Counted out;
  std::vector<CheckpointFile> list;
  for (const auto& [path, bytes] : files) {
    out.sources.push_back(std::make_shared<CountingSource>(bytes));
    list.push_back({path, out.sources.back()});
  }
  out.checkpoint = Checkpoint::Parse(std::move(list)).value();
  return out;
}

const TestTensor kA = Counting({"a", Dtype::kBF16, {300, 500}});  // more than one block
const TestTensor kB = Counting({"b", Dtype::kF32, {3}});
const TestTensor kC = Counting({"c", Dtype::kU8, {0, 5}});

Digest Hash(const std::string& bytes) { return Sha256::Of(AsBytes(bytes)); }

TEST(HashCheckpoint, HashesFilesHeadersAndTensorsInOneRead) {
  const std::string shard = MakeSafetensors({kB, kA, kC});
  const Counted files = Open({{"config.json", "{}"}, {"m.safetensors", shard}});
  const uint64_t before = files.read();
  const auto hashed = HashCheckpoint(*files.checkpoint, nullptr);
  ASSERT_THAT(hashed, Ok());
  EXPECT_EQ(files.read() - before, shard.size() + 2);  // every byte once

  const RecipeFile& config = hashed->recipe.files[0];
  EXPECT_EQ(config, (RecipeFile{"config.json", 2, Hash("{}"), false, {}, 0, {}}));
  const RecipeFile& weights = hashed->recipe.files[1];
  EXPECT_EQ(weights.digest, Hash(shard));
  EXPECT_EQ(weights.header, Hash(shard.substr(0, weights.header_size)));
  const Digest a = Hash(kA.data);
  const Digest b = Hash(kB.data);
  const Digest c = Hash("");
  EXPECT_EQ(weights.tensors, (std::vector<Digest>{b, a, c}));  // data order
  ASSERT_EQ(hashed->tensors.size(), 3U);
  EXPECT_EQ(hashed->tensors[0].digest, a);  // by name
  EXPECT_EQ(hashed->tensors[2].digest, c);
  EXPECT_EQ(hashed->BaseDigest(), Hash(SerializeBaseManifest(hashed->tensors)));
  EXPECT_THAT(Recipe::Parse(hashed->recipe.Serialize()), Ok());
}

TEST(HashCheckpoint, ABaseKeepsItsIdentityWhenShardedAnew) {
  const Counted one = Open({{"config.json", "{}"}, {"m.safetensors", MakeSafetensors({kA, kB})}});
  const Counted two = Open({{"1.safetensors", MakeSafetensors({kB})},
                            {"2.safetensors", MakeSafetensors({kA})},
                            {"README.md", "new"},
                            {"config.json", "{ }"}});
  EXPECT_EQ(HashCheckpoint(*one.checkpoint, nullptr).value().BaseDigest(),
            HashCheckpoint(*two.checkpoint, nullptr).value().BaseDigest());
}

TEST(HashCheckpoint, AgreesWithTheFileOfARealModel) {
  const auto checkpoint = Checkpoint::OpenDirectory(TestData("tiny-llama/kjv")).value();
  const HashedCheckpoint hashed = HashCheckpoint(*checkpoint, nullptr).value();
  for (const RecipeFile& file : hashed.recipe.files) {
    EXPECT_EQ(file.digest,
              Hash(ReadFile(TestData("tiny-llama/kjv/" + file.path), 1 << 24).value()));
  }
}

TEST(HashCheckpoint, ReportsProgressUpToTheWhole) {
  const Counted files = Open({{"1.safetensors", MakeSafetensors({kB})},
                              {"2.safetensors", MakeSafetensors({kA})},
                              {"config.json", "{}"}});
  uint64_t last = 0;
  const auto hashed = HashCheckpoint(*files.checkpoint, [&](uint64_t done) {
    EXPECT_GT(done, last);
    last = done;
    return true;
  });
  EXPECT_EQ(last, hashed.value().recipe.TotalBytes());
}

TEST(HashCheckpoint, StopsWhenAsked) {
  const Counted files = Open({{"config.json", "{}"}, {"m.safetensors", MakeSafetensors({kA})}});
  const uint64_t before = files.read();
  EXPECT_THAT(HashCheckpoint(*files.checkpoint, [](uint64_t) { return false; }),
              FailsWith(Errc::kCancelled, "cancelled", ""));
  EXPECT_LT(files.read() - before, kA.data.size());
}

}  // namespace
}  // namespace signum
