#pragma once

#include "storage/format/backup_index.h"
#include "storage/format/delta_file.h"
#include "storage/format/manifest.h"
#include "tests/storage/format/format_support.h"

namespace signum {

// A delta with every codec and every choice of parts of version 1, small enough to read in a hex
// dump. The golden file holds it; the tests of refusals damage it.
struct SampleDelta {
  DeltaHeader header;
  std::vector<TestTensor> tensors;

  TestTensor& Part(std::string_view name);
  void Remove(std::string_view name);
};
SampleDelta MakeSampleDelta();
// The same with further planes, and with lowrank.
SampleDelta MakePlanesSample();
Recipe MakeSampleRecipe();
Manifest MakeSampleManifest();
std::vector<BaseTensor> MakeSampleBase();
BackupIndex MakeSampleBackup();

Result<DeltaWriter::Sealed> WriteDelta(const SampleDelta& sample,
                                       const std::filesystem::path& path);

// The same as a file that the writer did not check, in the order of `tensors`.
std::string RawDelta(const SampleDelta& sample);
std::string RawDelta(const SampleDelta& sample, const std::map<std::string, std::string>& metadata);

// Float32 data.
std::string Floats(const std::vector<float>& values);

inline Result<std::shared_ptr<const DeltaReader>> OpenBytes(std::string bytes) {
  return DeltaReader::Open(Source(std::move(bytes)), "d.safetensors");
}

// A part of a sample in another shape or element type.
struct Reshaped {
  const char* part;
  Dtype dtype;
  std::vector<uint64_t> shape;
};

}  // namespace signum
