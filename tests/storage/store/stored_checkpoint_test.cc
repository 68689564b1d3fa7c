// Ingest of real checkpoints and reading them back.

#include <algorithm>
#include <chrono>
#include <thread>

#include "storage/base/file.h"
#include "storage/object_store.h"
#include "storage/references.h"
#include "tests/storage/store/store_support.h"

namespace signum {
namespace {

namespace fs = std::filesystem;

const fs::path kModels = fs::path(SIGNUM_TEST_DATA) / "tiny-llama";

class StoredCheckpointTest : public ::testing::TestWithParam<EngineKind> {
 protected:
  IngestedBase Ingest(const std::string& name) {
    const auto checkpoint = Checkpoint::OpenDirectory(kModels / name);
    EXPECT_THAT(checkpoint, Ok());
    auto ingested = IngestBase(objects_, **checkpoint, {});
    EXPECT_THAT(ingested, Ok());
    return ingested.has_value() ? *std::move(ingested) : IngestedBase();
  }
  std::shared_ptr<const StoredCheckpoint> Open(const IngestedCheckpoint& ingested) {
    auto stored = StoredCheckpoint::Open(objects_, ingested.recipe_digest);
    EXPECT_THAT(stored, Ok());
    return *std::move(stored);
  }
  IngestedCheckpoint IngestTune(const Checkpoint& checkpoint, const CheckpointSource& base) {
    auto ingested = IngestFineTune(objects_, checkpoint, base, {});
    EXPECT_THAT(ingested, Ok());
    return ingested.has_value() ? *std::move(ingested) : IngestedCheckpoint();
  }

  EngineHolder engine_{GetParam()};
  ObjectStore objects_{*engine_};
};

TEST_P(StoredCheckpointTest, GivesEveryFileBack) {
  const IngestedCheckpoint ingested = Ingest("base");
  const auto stored = StoredCheckpoint::Open(objects_, ingested.recipe_digest);
  ASSERT_THAT(stored, Ok());
  size_t files = 0;
  for (const auto& entry : fs::directory_iterator(kModels / "base")) {
    const auto file = (*stored)->OpenFile(entry.path().filename().string());
    ASSERT_THAT(file, Ok());
    EXPECT_TRUE(Contents(**file) == *ReadFile(entry.path(), 1 << 30)) << entry.path();
    ++files;
  }
  EXPECT_EQ((*stored)->recipe().files.size(), files);
  EXPECT_THAT((*stored)->OpenFile("none"), FailsWith(Errc::kNotFound, "unknown_file", "none"));
}

TEST_P(StoredCheckpointTest, GivesEveryTensorBack) {
  const auto original = *Checkpoint::OpenDirectory(kModels / "kjv");
  const auto stored = *StoredCheckpoint::Open(objects_, Ingest("kjv").recipe_digest);
  ASSERT_EQ(stored->tensors(), original->tensors());
  for (size_t i = 0; i < stored->tensors().size(); ++i) {
    const std::string bytes = Contents(**stored->Open(i));
    EXPECT_TRUE(bytes == Contents(**original->Open(i))) << stored->tensors()[i].name;
    EXPECT_EQ(stored->KnownDigest(i), Sha256::Of(AsBytes(bytes)));
  }
}

TEST_P(StoredCheckpointTest, StoresEqualPiecesOnce) {
  const IngestedBase base = Ingest("base");
  EXPECT_GT(base.stored_bytes, 6'000'000);
  EXPECT_TRUE(*objects_.Has(base.manifest_digest));
  EXPECT_EQ(base.manifest_digest, base.hashed.BaseDigest());
  const size_t blobs = engine_->ListBlobs()->size();
  const IngestedCheckpoint again = Ingest("base");
  EXPECT_EQ(again.stored_bytes, 0);
  EXPECT_EQ(again.recipe_digest, base.recipe_digest);
  EXPECT_EQ(engine_->ListBlobs()->size(), blobs);
  // A fine-tune shares the tokenizer and other small files.
  const IngestedCheckpoint fine = Ingest("kjv");
  EXPECT_LT(fine.stored_bytes, fine.hashed.recipe.TotalBytes());
}

// However often an ingest was cut short.
TEST_P(StoredCheckpointTest, TellsWhatTookRoomSinceAMoment) {
  const IngestedBase base = Ingest("base");
  std::this_thread::sleep_for(std::chrono::milliseconds(2));
  const UnixMicros began = SystemClock().Now();
  const auto tune = *Checkpoint::OpenDirectory(kModels / "kjv");
  const IngestedCheckpoint whole = IngestTune(*tune, *Open(base));
  EXPECT_EQ(*BytesStoredSince(objects_, whole.recipe_digest, began), whole.stored_bytes);
  EXPECT_EQ(IngestTune(*tune, *Open(base)).stored_bytes, 0);
  EXPECT_EQ(*BytesStoredSince(objects_, whole.recipe_digest, began), whole.stored_bytes);
  EXPECT_EQ(*BytesStoredSince(objects_, whole.recipe_digest, SystemClock().Now() + 1), 0);
}

TEST_P(StoredCheckpointTest, CountsProgressToTheTotal) {
  const auto checkpoint = *Checkpoint::OpenDirectory(kModels / "base");
  uint64_t last = 0;
  const auto ingested = IngestBase(objects_, *checkpoint, [&](uint64_t done) {
    EXPECT_GE(done, last);
    last = done;
    return true;
  });
  ASSERT_THAT(ingested, Ok());
  const uint64_t total = ingested->hashed.recipe.TotalBytes();
  EXPECT_LE(last, total);
  EXPECT_GT(last, total - 1000);
}

TEST_P(StoredCheckpointTest, StopsWhenAskedAndGoesOnAfter) {
  const auto checkpoint = *Checkpoint::OpenDirectory(kModels / "base");
  const auto stopped =
      IngestBase(objects_, *checkpoint, [](uint64_t done) { return done < 5'000'000; });
  EXPECT_THAT(stopped, FailsWith(Errc::kCancelled, "cancelled", ""));
  const IngestedCheckpoint ingested = Ingest("base");
  EXPECT_THAT(StoredCheckpoint::Open(objects_, ingested.recipe_digest), Ok());
}

TEST_P(StoredCheckpointTest, SaysWhatIsMissingOrWrong) {
  const IngestedCheckpoint ingested = Ingest("base");
  const auto open = [&](const Recipe& recipe) {
    return StoredCheckpoint::Open(objects_, objects_.Put(AsBytes(recipe.Serialize()))->digest);
  };
  EXPECT_THAT(StoredCheckpoint::Open(objects_, Digest()),
              FailsWith(Errc::kNotFound, "unknown_object", ""));
  Recipe recipe = ingested.hashed.recipe;
  RecipeFile* weights = nullptr;
  for (RecipeFile& file : recipe.files) weights = file.safetensors ? &file : weights;
  weights->tensors.pop_back();
  EXPECT_THAT(open(recipe), FailsWith(Errc::kCorrupt, "bad_recipe", weights->path));
  weights->tensors.push_back(Digest());  // an object that is not there
  const auto stored = open(recipe);
  ASSERT_THAT(stored, Ok());
  EXPECT_THAT((*stored)->OpenFile(weights->path), FailsWith(Errc::kNotFound, "unknown_object", ""));
  std::rotate(weights->tensors.begin(), weights->tensors.begin() + 1, weights->tensors.end());
  const auto swapped = open(recipe);
  ASSERT_THAT(swapped, Ok());
  bool refused = false;
  for (size_t i = 0; i < (*swapped)->tensors().size(); ++i) {
    const auto tensor = (*swapped)->Open(i);
    if (tensor.has_error() && tensor.error().reason == "bad_recipe") refused = true;
  }
  EXPECT_TRUE(refused);  // a tensor under the name of another of another size
}

TEST_P(StoredCheckpointTest, AFineTuneTakesHalfAndComesBack) {
  const auto base = Open(Ingest("base"));
  for (const std::string name : {"kjv", "pysrc", "sqlite"}) {
    const auto original = *Checkpoint::OpenDirectory(kModels / name);
    const IngestedCheckpoint ingested = IngestTune(*original, *base);
    EXPECT_LT(ingested.stored_bytes, ingested.hashed.recipe.TotalBytes() * 52 / 100) << name;
    const auto stored = Open(ingested);
    for (const CheckpointFile& file : original->files()) {
      EXPECT_TRUE(Contents(**stored->OpenFile(file.path)) == Contents(*file.bytes)) << file.path;
    }
    for (size_t i = 0; i < stored->tensors().size(); ++i) {
      EXPECT_EQ(Sha256::Of(AsBytes(Contents(**stored->Open(i)))), stored->KnownDigest(i));
    }
    EXPECT_EQ(IngestTune(*original, *base).stored_bytes, 0);  // again: it is there
  }
}

TEST_P(StoredCheckpointTest, WhatTheBaseHasCostsNothing) {
  const auto base = Open(Ingest("base"));
  const size_t blobs = engine_->ListBlobs()->size();
  const auto same = *Checkpoint::OpenDirectory(kModels / "base");
  EXPECT_EQ(IngestTune(*same, *base).stored_bytes, 0);
  EXPECT_EQ(engine_->ListBlobs()->size(), blobs);
}

INSTANTIATE_TEST_SUITE_P(Engines, StoredCheckpointTest, ::testing::Values(kMemory, kRocks),
                         EngineName);

}  // namespace
}  // namespace signum
