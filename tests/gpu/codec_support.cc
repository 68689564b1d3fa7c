#include "tests/gpu/codec_support.h"

#include <random>
#include <stdexcept>

#include "gpu/kernels/convert.h"
#include "gpu/kernels/simd.h"
#include "gpu/tensor_class.h"

namespace signum {
namespace {

template <class T>
T Need(Result<T> result) {
  if (!result) throw std::runtime_error(result.error().reason + ": " + result.error().message);
  return *std::move(result);
}

}  // namespace

TestCheckpoint Hashed(std::shared_ptr<const Checkpoint> checkpoint) {
  TestCheckpoint out;
  out.hashed = Need(HashCheckpoint(*checkpoint, {}));
  out.blobs = std::make_shared<CheckpointBlobs>(*checkpoint, out.hashed.recipe);
  out.checkpoint = std::move(checkpoint);
  return out;
}

TestCheckpoint MakeCheckpoint(const std::vector<TestTensor>& tensors) {
  return Hashed(Need(Checkpoint::Parse({{"config.json", Source("{\"model_type\":\"llama\"}")},
                                        {"model.safetensors", Source(MakeSafetensors(tensors))}})));
}

TestCheckpoint OpenTiny(const std::string& name) {
  return Hashed(Need(Checkpoint::OpenDirectory(TestData("tiny-llama/" + name))));
}

std::string TestCheckpoint::File(std::string_view path) const {
  for (const CheckpointFile& file : checkpoint->files()) {
    if (file.path == path) return ReadWhole(*file.bytes);
  }
  throw std::runtime_error("no file " + std::string(path));
}

TestTensor MakeTensor(const std::string& name, Dtype dtype, std::vector<uint64_t> shape,
                      const std::vector<float>& values) {
  TestTensor tensor{{name, dtype, std::move(shape)}, {}};
  tensor.data.resize(tensor.info.bytes());
  kernels::FromFloat(values.data(), values.size(), {*ElementOf(dtype), tensor.data.data()});
  return tensor;
}

std::vector<float> RandomValues(size_t n, uint64_t seed, float sigma) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal(0, sigma);
  std::vector<float> values(n);
  for (float& value : values) value = normal(random);
  return values;
}

std::vector<float> Values(const TensorInfo& info, ConstBytes bytes) {
  std::vector<float> values(info.elements());
  kernels::ToFloat({*ElementOf(info.dtype), bytes.data()}, values.size(), values.data());
  return values;
}

Codec TestDelta::CodecOf(const std::string& name) const { return reader->header().codecs.at(name); }

std::string TestDelta::Bytes(const std::string& part) const {
  const SafetensorsEntry* entry = reader->FindPart(part);
  if (entry == nullptr) throw std::runtime_error("no part " + part);
  return ReadWhole(*reader->OpenPart(*entry));
}

std::vector<float> TestDelta::Floats(const std::string& part) const {
  const std::string bytes = Bytes(part);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

Result<CompressSummary> Compress(const TestCheckpoint& base, const TestCheckpoint& fine,
                                 const CompressOptions& options,
                                 const std::filesystem::path& output) {
  const CheckpointBlobSource blobs(*base.blobs, *fine.blobs);
  return CompressCheckpoint(*base.checkpoint, base.hashed.BaseDigest(), *fine.checkpoint,
                            fine.hashed.recipe, blobs, options, output, {});
}

TestDelta MakeDelta(const TestCheckpoint& base, const TestCheckpoint& fine,
                    const CompressOptions& options, const TempDir& dir) {
  const auto path = dir / "a.delta";
  TestDelta delta;
  delta.summary = Need(Compress(base, fine, options, path));
  delta.reader = Need(DeltaReader::Open(Need(MappedFile::Open(path)), "a.delta"));
  return delta;
}

std::shared_ptr<const Rebuilder> OpenRebuilder(const TestCheckpoint& base, const TestDelta& delta) {
  return Need(
      Rebuilder::Create(base.checkpoint, base.hashed.BaseDigest(), base.blobs, delta.reader));
}

std::string ReadWhole(const ByteSource& source) { return Need(ReadAll(source, uint64_t{1} << 32)); }

WithSimd::WithSimd(const std::string& name) {
  if (!kernels::SetSimd(name)) throw std::runtime_error("no SIMD target " + name);
}
WithSimd::~WithSimd() { kernels::SetSimd(""); }

}  // namespace signum
