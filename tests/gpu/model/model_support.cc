#include "tests/gpu/model/model_support.h"

#include <gtest/gtest.h>

#include <cmath>

#include "storage/base/file.h"

namespace signum {

TestCheckpoint OpenVariant(const std::string& name, const std::string& file) {
  const std::string folder = std::string(SIGNUM_TEST_DATA) + "/golden/variants/" + name + "/";
  return Hashed(*Checkpoint::Parse(
      {{"config.json", *MappedFile::Open(folder + "config.json")},
       {"model.safetensors", *MappedFile::Open(folder + file + ".safetensors")}}));
}

GoldenFile::GoldenFile(const std::filesystem::path& name)
    : file_(*MappedFile::Open(std::filesystem::path(SIGNUM_TEST_DATA) / "golden" / name)),
      header_(*ParseSafetensors(*file_, name.string())) {}

std::string GoldenFile::Bytes(const std::string& tensor) const {
  for (const SafetensorsEntry& entry : header_.tensors) {
    if (entry.info.name != tensor) continue;
    return ReadWhole(SliceSource(file_, header_.header_bytes + entry.begin, entry.info.bytes()));
  }
  ADD_FAILURE() << "no golden tensor " << tensor;
  return {};
}

bool GoldenFile::Has(const std::string& tensor) const {
  return std::any_of(header_.tensors.begin(), header_.tensors.end(),
                     [&](const SafetensorsEntry& entry) { return entry.info.name == tensor; });
}

std::vector<float> GoldenFile::Floats(const std::string& tensor) const {
  const std::string bytes = Bytes(tensor);
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

std::vector<std::string> GoldenFile::NamesAfter(std::string_view prefix) const {
  std::vector<std::string> names;
  for (const SafetensorsEntry& entry : header_.tensors) {
    const std::string& name = entry.info.name;
    if (name.starts_with(prefix)) names.push_back(name.substr(prefix.size()));
  }
  return names;
}

TokenRows GoldenFile::Tokens() const {
  const std::string bytes = Bytes("tokens");
  std::vector<int64_t> ids(bytes.size() / sizeof(int64_t));
  std::memcpy(ids.data(), bytes.data(), bytes.size());
  TokenRows rows;
  rows.ids.assign(ids.begin(), ids.end());
  for (const SafetensorsEntry& entry : header_.tensors) {
    if (entry.info.name == "tokens") rows.tokens = static_cast<int64_t>(entry.info.shape.back());
  }
  return rows;
}

TestModel::TestModel(const TestCheckpoint& checkpoint, bool resident)
    : TestModel(checkpoint, nullptr, resident) {}

TestModel::TestModel(const TestCheckpoint& checkpoint, std::shared_ptr<const WeightSource> source,
                     bool resident)
    : backend(ops::MakeCpuBackend()),
      compute(*backend, 2),
      config(*ParseLlamaConfig(checkpoint.checkpoint->config_json())) {
  if (source == nullptr) source = MakeCheckpointWeights(*backend, checkpoint.checkpoint);
  weights = *ModelWeights::Create(compute, config, source, resident);
}

std::vector<float> TestModel::LogitsOf(const TokenRows& rows) {
  const auto states = *HiddenStates(compute, config, *weights, rows, NoProgress);
  const auto count = static_cast<int64_t>(rows.ids.size());
  std::vector<float> out(static_cast<size_t>(count * weights->vocabulary()));
  Logits(*backend, states.data(), *weights->Head(), count, weights->vocabulary(), config.hidden,
         out.data());
  return out;
}

std::vector<float> TestModel::DecodedLogitsOf(const TokenRows& rows) {
  const Sequences all{0, rows.count(), 1};
  const RopeTable rope = *RopeTable::Create(*backend, config, rows.tokens);
  LayerActivations acts = *LayerActivations::Create(*backend, config, all.rows());
  std::vector<LayerCache> caches(static_cast<size_t>(config.layers));
  for (LayerCache& cache : caches) {
    cache.capacity = rows.tokens;
    cache.k = *MakeBuffer<float>(*backend, rows.count() * rows.tokens * config.kv_size());
    cache.v = *MakeBuffer<float>(*backend, rows.count() * rows.tokens * config.kv_size());
  }
  const auto width = static_cast<size_t>(config.hidden);
  const auto vocabulary = static_cast<size_t>(weights->vocabulary());
  std::vector<float> x(static_cast<size_t>(rows.count()) * width);
  std::vector<float> inverse(static_cast<size_t>(rows.count()));
  std::vector<float> out(rows.ids.size() * vocabulary);
  for (int64_t t = 0; t < rows.tokens; ++t) {
    std::vector<int32_t> newest;
    for (int64_t r = 0; r < rows.count(); ++r) {
      newest.push_back(rows.Row(r)[static_cast<size_t>(t)]);
    }
    EXPECT_FALSE(Embed(*weights, newest, x.data()).has_error());
    for (int64_t l = 0; l < config.layers; ++l) {
      const LayerRun run{*backend, config, rope, l, **weights->Layer(l)};
      DecodeLayer(run, all, t, acts, caches[static_cast<size_t>(l)], x.data());
    }
    backend->RmsNorm({x.data(), weights->final_norm(), x.data(), inverse.data(), rows.count(),
                      config.hidden, config.norm_eps});
    for (int64_t r = 0; r < rows.count(); ++r) {
      Logits(*backend, x.data() + static_cast<size_t>(r) * width, *weights->Head(), 1,
             weights->vocabulary(), config.hidden,
             out.data() + static_cast<size_t>(r * rows.tokens + t) * vocabulary);
    }
  }
  return out;
}

TestStudent::TestStudent(const TestCheckpoint& base, const TestCheckpoint& fine,
                         const CompressOptions& options)
    : delta(MakeDelta(base, fine, options, dir)),
      backend(ops::MakeCpuBackend()),
      student(*Student::Create(
          *backend, {base.checkpoint, fine.checkpoint, delta.reader, OpenRebuilder(base, delta)})) {
}

double RelativeDistance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double distance = 0;
  double norm = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    distance += std::pow(double{a[i]} - double{b[i]}, 2);
    norm += std::pow(double{b[i]}, 2);
  }
  return std::sqrt(distance / norm);
}

}  // namespace signum
