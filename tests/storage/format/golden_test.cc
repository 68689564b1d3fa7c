#include <gtest/gtest.h>
#include <zstd.h>

#include <cstdlib>

#include "storage/base/file.h"
#include "storage/format/encoded_object.h"
#include "tests/storage/format/sample_delta.h"
#include "tests/support/result_matchers.h"
#include "tests/support/temp_dir.h"

// The bytes of every format, pinned: a change that fails here is a new version of the format, not a
// new golden file. SIGNUM_WRITE_GOLDEN=1 writes files that are not there yet.

namespace signum {
namespace {

void ExpectGolden(const std::string& name, const std::string& bytes) {
  const std::string path = TestData("formats/" + name);
  if (std::getenv("SIGNUM_WRITE_GOLDEN") != nullptr && !std::filesystem::exists(path)) {
    ASSERT_THAT(WriteFileAtomically(path, AsBytes(bytes)), Ok());
  }
  const auto golden = ReadFile(path, 1 << 20);
  ASSERT_THAT(golden, Ok());
  EXPECT_TRUE(*golden == bytes) << name << " has " << golden->size() << " bytes, this build writes "
                                << bytes.size() << " others";
}

std::string Golden(const std::string& name) {
  return ReadFile(TestData("formats/" + name), 1 << 20).value();
}

TEST(Golden, DeltaFile) {
  const TempDir dir;
  ASSERT_THAT(WriteDelta(MakeSampleDelta(), dir / "d"), Ok());
  ExpectGolden("delta-v1.safetensors", ReadFile(dir / "d", 1 << 20).value());
  const auto reader = DeltaReader::Open(Source(Golden("delta-v1.safetensors")), "golden");
  ASSERT_THAT(reader, Ok());
  EXPECT_EQ((*reader)->header().codecs, MakeSampleDelta().header.codecs);
  EXPECT_THAT((*reader)->CheckContents(), Ok());
}

TEST(Golden, DeltaFileWithPlanesAndLowrank) {
  const TempDir dir;
  ASSERT_THAT(WriteDelta(MakePlanesSample(), dir / "d"), Ok());
  ExpectGolden("delta-v1-planes.safetensors", ReadFile(dir / "d", 1 << 20).value());
  const auto reader = DeltaReader::Open(Source(Golden("delta-v1-planes.safetensors")), "golden");
  ASSERT_THAT(reader, Ok());
  EXPECT_EQ((*reader)->header().codecs, MakePlanesSample().header.codecs);
  EXPECT_THAT((*reader)->CheckContents(), Ok());
}

TEST(Golden, Manifest) {
  const SigningKey key = SigningKey::FromSeed(std::string(32, 'g')).value();
  ExpectGolden("manifest-v1.json", MakeSampleManifest().Sign(key));
  const auto manifest = Manifest::Verify(Golden("manifest-v1.json"), key.public_key());
  ASSERT_THAT(manifest, Ok());
  EXPECT_EQ(manifest->chunks, MakeSampleManifest().chunks);
}

TEST(Golden, Recipe) {
  ExpectGolden("recipe-v1.json", MakeSampleRecipe().Serialize());
  EXPECT_EQ(Recipe::Parse(Golden("recipe-v1.json")).value(), MakeSampleRecipe());
}

TEST(Golden, BaseManifest) {
  ExpectGolden("base-v1.json", SerializeBaseManifest(MakeSampleBase()));
}

TEST(Golden, Backup) {
  ExpectGolden("backup-v1.json", MakeSampleBackup().Serialize());
  EXPECT_EQ(BackupIndex::Parse(Golden("backup-v1.json")).value(), MakeSampleBackup());
}

// How planes are chosen and zstd is run is the writer's business: what older writers made is read
// for good. What this one makes is pinned for the zstd that made the file, for others find other
// frames.
TEST(Golden, EncodedObject) {
  std::string base(3000, '\0'), raw;
  for (size_t i = 0; i < base.size(); ++i) base[i] = static_cast<char>(i * i / 7);
  raw = base;
  for (size_t i = 0; i < raw.size(); i += 10) raw[i] = static_cast<char>(raw[i] + 3);
  raw += std::string(1000, 'n');  // rows that the base lacks
  std::string bytes;
  const MemorySource base_source(base);
  const auto sink = [&](ConstBytes piece) -> Result<void> {
    bytes.append(AsText(piece));
    return {};
  };
  ASSERT_THAT(EncodeObject(MemorySource(raw), {NumberKind::kFloat, 2}, &base_source, sink, {}),
              Ok());
  if (ZSTD_versionNumber() == 10504) ExpectGolden("encoded-v1-sampled.bin", bytes);
  for (const char* name : {"encoded-v1.bin", "encoded-v1-sampled.bin"}) {
    const auto object =
        EncodedObject::Open(Source(Golden(name)), Source(base), Sha256::Of(AsBytes(raw)), nullptr);
    ASSERT_THAT(object, Ok());
    EXPECT_TRUE(*ReadAll(**object, 1 << 20) == raw) << name;
  }
}

TEST(Golden, Safetensors) {
  std::vector<TestTensor> tensors;
  for (int i = 0; i <= static_cast<int>(Dtype::kC64); ++i) {
    const auto dtype = static_cast<Dtype>(i);
    tensors.push_back(Counting({"t." + std::string(DtypeName(dtype)), dtype, {2, 4}}));
  }
  ExpectGolden("safetensors.safetensors", MakeSafetensors(tensors));
  const auto parsed = ParseSafetensors(*Source(Golden("safetensors.safetensors")), "golden");
  ASSERT_THAT(parsed, Ok());
  EXPECT_EQ(parsed->tensors.size(), tensors.size());
}

}  // namespace
}  // namespace signum
