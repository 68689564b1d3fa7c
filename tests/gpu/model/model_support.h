#pragma once

#include "gpu/distill/student.h"
#include "gpu/model/checkpoint_weights.h"
#include "gpu/model/forward.h"
#include "tests/gpu/codec_support.h"

// The small Llama family as models on the CPU, for the tests of gpu/model/ and gpu/distill/.

namespace signum {

inline Result<void> NoProgress(double) { return {}; }

// tests/data/golden/variants/<name>: the base, or `file` "fine" for the fine-tune.
TestCheckpoint OpenVariant(const std::string& name, const std::string& file = "model");

// A safetensors file of tests/data/golden, or at a path of its own.
class GoldenFile {
 public:
  explicit GoldenFile(const std::filesystem::path& name);
  std::vector<float> Floats(const std::string& tensor) const;
  TokenRows Tokens() const;  // "tokens", I64 [rows, tokens]
  bool Has(const std::string& tensor) const;
  std::string Metadata(const std::string& name) const { return header_.metadata.at(name); }
  // Names of its tensors that begin so, without that beginning.
  std::vector<std::string> NamesAfter(std::string_view prefix) const;

 private:
  std::string Bytes(const std::string& tensor) const;

  std::shared_ptr<const ByteSource> file_;
  SafetensorsHeader header_;
};

// A checkpoint of the family on a backend.
struct TestModel {
  explicit TestModel(const TestCheckpoint& checkpoint, bool resident = true);
  TestModel(const TestCheckpoint& checkpoint, std::shared_ptr<const WeightSource> source,
            bool resident = true);

  std::vector<float> LogitsOf(const TokenRows& rows);
  // The same, a token at a time with a cache of keys and values.
  std::vector<float> DecodedLogitsOf(const TokenRows& rows);

  std::unique_ptr<ops::Backend> backend;
  Compute compute;
  LlamaConfig config;
  std::unique_ptr<ModelWeights> weights;
};

// Base + delta of two checkpoints as a student.
struct TestStudent {
  TestStudent(const TestCheckpoint& base, const TestCheckpoint& fine,
              const CompressOptions& options);

  TempDir dir;
  TestDelta delta;
  std::unique_ptr<ops::Backend> backend;
  std::shared_ptr<Student> student;
};

// ‖a − b‖ / ‖b‖.
double RelativeDistance(const std::vector<float>& a, const std::vector<float>& b);

}  // namespace signum
