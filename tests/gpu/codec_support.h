#pragma once

#include <map>
#include <string>
#include <vector>

#include "gpu/checkpoint_blobs.h"
#include "gpu/compress.h"
#include "gpu/rebuild.h"
#include "tests/storage/format/format_support.h"
#include "tests/support/temp_dir.h"

// Small checkpoints, compressed and rebuilt, for the tests of gpu/.

namespace signum {

// A parsed checkpoint with its recipe and pieces.
struct TestCheckpoint {
  std::shared_ptr<const Checkpoint> checkpoint;
  HashedCheckpoint hashed;
  std::shared_ptr<const CheckpointBlobs> blobs;

  // The whole bytes of a file.
  std::string File(std::string_view path) const;
};
TestCheckpoint Hashed(std::shared_ptr<const Checkpoint> checkpoint);
// config.json and one safetensors file of these tensors.
TestCheckpoint MakeCheckpoint(const std::vector<TestTensor>& tensors);
TestCheckpoint OpenTiny(const std::string& name);  // tests/data/tiny-llama/<name>

// Values as a tensor of `dtype`, rounded to it.
TestTensor MakeTensor(const std::string& name, Dtype dtype, std::vector<uint64_t> shape,
                      const std::vector<float>& values);
// Normally distributed values from a fixed sequence.
std::vector<float> RandomValues(size_t n, uint64_t seed, float sigma);
// A tensor's values as float32.
std::vector<float> Values(const TensorInfo& info, ConstBytes bytes);

// One fine-tune compressed against its base, and opened again.
struct TestDelta {
  CompressSummary summary;
  std::shared_ptr<const DeltaReader> reader;

  Codec CodecOf(const std::string& name) const;
  std::vector<float> Floats(const std::string& part) const;  // an F32 part
  std::string Bytes(const std::string& part) const;
};
Result<CompressSummary> Compress(const TestCheckpoint& base, const TestCheckpoint& fine,
                                 const CompressOptions& options,
                                 const std::filesystem::path& output);
TestDelta MakeDelta(const TestCheckpoint& base, const TestCheckpoint& fine,
                    const CompressOptions& options, const TempDir& dir);
std::shared_ptr<const Rebuilder> OpenRebuilder(const TestCheckpoint& base, const TestDelta& delta);

std::string ReadWhole(const ByteSource& source);

// Runs the kernels on another implementation while it lives.
class WithSimd {
 public:
  explicit WithSimd(const std::string& name);
  ~WithSimd();
};

}  // namespace signum
