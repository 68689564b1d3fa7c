#include "storage/format/checkpoint.h"

#include <gtest/gtest.h>

#include <fstream>

#include "storage/base/file.h"
#include "tests/storage/format/format_support.h"
#include "tests/support/result_matchers.h"
#include "tests/support/temp_dir.h"

namespace signum {
namespace {

using Files = std::map<std::string, std::string>;

Result<std::shared_ptr<const Checkpoint>> Parse(const Files& files) {
  std::vector<CheckpointFile> list;
  for (const auto& [path, bytes] : files) list.push_back({path, Source(bytes)});
  return Checkpoint::Parse(std::move(list));
}

std::string Shard(const std::vector<std::string>& names) {
  std::vector<TestTensor> tensors;
  for (const std::string& name : names) tensors.push_back(Counting({name, Dtype::kBF16, {2, 2}}));
  return MakeSafetensors(tensors);
}

Files Sharded() {
  return {{"config.json", R"({"model_type":"llama"})"},
          {"model-00001-of-00002.safetensors", Shard({"b", "a"})},
          {"model-00002-of-00002.safetensors", Shard({"c"})},
          {"model.safetensors.index.json",
           R"({"metadata":{"total_size":24},"weight_map":{"a":"model-00001-of-00002.safetensors",)"
           R"("b":"model-00001-of-00002.safetensors","c":"model-00002-of-00002.safetensors"}})"}};
}

auto Refused(const char* reason, const char* text) {
  return FailsWith(Errc::kUnusable, reason, text);
}

TEST(Checkpoint, ReadsARealDirectory) {
  const auto checkpoint = Checkpoint::OpenDirectory(TestData("tiny-llama/base"));
  ASSERT_THAT(checkpoint, Ok());
  EXPECT_EQ((*checkpoint)->files().size(), 6U);
  EXPECT_EQ((*checkpoint)->tensors().size(), 39U);
  EXPECT_EQ((*checkpoint)->tensors().front().name, "lm_head.weight");
  EXPECT_NE((*checkpoint)->config_json().find("LlamaForCausalLM"), std::string::npos);
  const auto data = (*checkpoint)->Open(*(*checkpoint)->Find("model.norm.weight")).value();
  EXPECT_EQ(data->size(), 384U);
  EXPECT_FALSE(data->View().empty());  // mapped, not copied
}

TEST(Checkpoint, MergesShardsByName) {
  const auto checkpoint = Parse(Sharded());
  ASSERT_THAT(checkpoint, Ok());
  ASSERT_EQ((*checkpoint)->tensors().size(), 3U);
  EXPECT_EQ((*checkpoint)->tensors()[2].name, "c");
  EXPECT_EQ((*checkpoint)->places()[0].entry, 1U);  // "a" is second in its shard
  EXPECT_EQ((*checkpoint)->places()[2].shard, 1U);
  EXPECT_THAT(ReadAll(*(*checkpoint)->Open(1).value(), 8), Ok());
}

TEST(Checkpoint, TakesSubfoldersAndNoIndex) {
  Files files = Sharded();
  files.erase("model.safetensors.index.json");
  EXPECT_THAT(Parse(files), Ok());
  files["vae/diffusion.safetensors"] = Shard({"d"});
  EXPECT_EQ(Parse(files).value()->tensors().size(), 4U);
}

TEST(Checkpoint, TakesAnIndexPerFolder) {
  Files files = Sharded();
  files["unet/w-1.safetensors"] = Shard({"u"});
  files["unet/w.safetensors.index.json"] = R"({"weight_map":{"u":"w-1.safetensors"}})";
  EXPECT_THAT(Parse(files), Ok());
  files["unet/w.safetensors.index.json"] = R"({"weight_map":{"v":"w-1.safetensors"}})";
  EXPECT_THAT(Parse(files), Refused("bad_index", "'u'"));
}

TEST(Checkpoint, WantsConfigAndWeights) {
  Files files = Sharded();
  files.erase("config.json");
  EXPECT_THAT(Parse(files), Refused("no_config", "config.json"));
  for (const char* bad : {"", "[]", "{", "{\"a\":1,\"a\":2}"}) {
    files["config.json"] = bad;
    EXPECT_THAT(Parse(files), Refused("bad_config", "config.json")) << bad;
  }
  EXPECT_THAT(Parse({{"config.json", "{}"}}), Refused("no_weights", "safetensors"));
  EXPECT_THAT(Parse({{"config.json", "{}"}, {"a.safetensors", Shard({})}}),
              Refused("no_weights", "safetensors"));
}

TEST(Checkpoint, NamesAMissingShard) {
  Files files = Sharded();
  files.erase("model-00002-of-00002.safetensors");
  EXPECT_THAT(Parse(files), Refused("missing_shard", "model-00002-of-00002.safetensors"));
}

TEST(Checkpoint, WantsTheSiblingsOfAShardWithoutAnIndexToo) {
  Files files = Sharded();
  files.erase("model.safetensors.index.json");
  files.erase("model-00001-of-00002.safetensors");
  EXPECT_THAT(Parse(files), Refused("missing_shard", "model-00001-of-00002.safetensors"));
  for (const char* other : {"model-00003-of-00002.safetensors", "model-00000-of-00001.safetensors",
                            "model-1-of-2.safetensors", "part-of-00002.safetensors"}) {
    EXPECT_THAT(Parse({{"config.json", "{}"}, {other, Shard({"a"})}}), Ok()) << other;
  }
}

TEST(Checkpoint, WantsIndexAndShardsToAgree) {
  const std::string one = "model-00001-of-00002.safetensors";
  Files files = Sharded();
  files[one] = Shard({"a"});  // the index says b is here as well
  EXPECT_THAT(Parse(files), Refused("bad_index", "'b'"));
  files[one] = Shard({"a", "b", "x"});  // x is not in the index
  EXPECT_THAT(Parse(files), Refused("bad_index", "'x'"));
  files = Sharded();
  files["consolidated.safetensors"] = Shard({"y"});  // nor is this file
  EXPECT_THAT(Parse(files), Refused("bad_index", "consolidated.safetensors"));
  files = Sharded();
  std::swap(files[one], files["model-00002-of-00002.safetensors"]);
  EXPECT_THAT(Parse(files), Refused("bad_index", "model.safetensors.index.json"));
}

TEST(Checkpoint, RefusesABrokenIndex) {
  for (const char* bad :
       {"", "[]", "{}", R"({"weight_map":[]})", R"({"weight_map":{"a":1}})",
        R"({"weight_map":{"a":"../x.safetensors"}})", R"({"weight_map":{"a":"config.json"}})",
        R"({"weight_map":{"a":"x.safetensors","a":"x.safetensors"}})"}) {
    Files files = Sharded();
    files["model.safetensors.index.json"] = bad;
    EXPECT_THAT(Parse(files), Refused("bad_index", "model.safetensors.index.json")) << bad;
  }
}

TEST(Checkpoint, RefusesPickles) {
  Files files = Sharded();
  files["training_args.bin"] = "PK\x03\x04";
  EXPECT_THAT(Parse(files), Refused("pickle_file", "training_args.bin"));
  files = Sharded();
  files["model-00002-of-00002.safetensors"] = std::string("\x80\x02}q\0(X\0\0", 9);
  EXPECT_THAT(Parse(files), Refused("pickle_file", "model-00002-of-00002.safetensors"));
}

TEST(Checkpoint, RefusesTensorNames) {
  Files files = Sharded();
  files.erase("model.safetensors.index.json");
  files["more.safetensors"] = Shard({"a"});
  EXPECT_THAT(Parse(files), Refused("duplicate_tensor", "more.safetensors"));
  files["more.safetensors"] = Shard({"signum.recipe"});
  EXPECT_THAT(Parse(files), Refused("reserved_name", "'signum.recipe'"));
}

TEST(Checkpoint, RefusesPaths) {
  Files files = Sharded();
  files["../escape.txt"] = "";
  EXPECT_THAT(Parse(files), FailsWith(Errc::kInvalid, "bad_path", "../escape.txt"));
  EXPECT_THAT(Checkpoint::Parse({{"config.json", Source("{}")}, {"config.json", Source("{}")}}),
              FailsWith(Errc::kInvalid, "bad_path", "twice"));
}

TEST(Checkpoint, NamesTheShardOfABadHeader) {
  Files files = Sharded();
  files["model-00002-of-00002.safetensors"].pop_back();
  EXPECT_THAT(Parse(files), Refused("offsets_out_of_range", "model-00002-of-00002.safetensors"));
}

TEST(OpenDirectory, FollowsFileLinksAndSkipsHiddenFiles) {
  const TempDir dir;
  std::filesystem::create_directories(dir / "model/.cache/deep");
  std::filesystem::create_directories(dir / "model/sub");
  std::ofstream(dir / "blob") << Shard({"w"});
  std::ofstream(dir / "model/config.json") << "{}";
  std::ofstream(dir / "model/.gitattributes") << "x";
  std::ofstream(dir / "model/.cache/deep/pickle.bin") << "PK\x03\x04";
  std::ofstream(dir / "model/sub/notes.txt") << "x";
  std::filesystem::create_symlink(dir / "blob", dir / "model/model.safetensors");
  const auto checkpoint = Checkpoint::OpenDirectory(dir / "model");
  ASSERT_THAT(checkpoint, Ok());
  ASSERT_EQ((*checkpoint)->files().size(), 3U);
  EXPECT_EQ((*checkpoint)->files()[2].path, "sub/notes.txt");
  std::filesystem::remove(dir / "blob");
  EXPECT_THAT(Checkpoint::OpenDirectory(dir / "model"),
              FailsWith(Errc::kNotFound, "no_such_file", "model.safetensors"));
  EXPECT_THAT(Checkpoint::OpenDirectory(dir / "none"),
              FailsWith(Errc::kNotFound, "no_such_file", ""));
}

}  // namespace
}  // namespace signum
