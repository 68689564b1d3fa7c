#include "tests/gpu/serve/serve_support.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "gpu/serve/device_image.h"
#include "storage/format/delta_file.h"
#include "tests/gpu/cuda/test_device.h"

namespace signum {

void PrintTo(TestDevice device, std::ostream* out) {
  *out << (device == TestDevice::kCpu ? "OnCpu" : "OnEmulatedCuda");
}

TestEngine::TestEngine(TestCheckpoint opened, TestDevice device, const ServeEngineOptions& options)
    : checkpoint(std::move(opened)),
      backend(device == TestDevice::kCpu ? ops::MakeCpuBackend() : OpenTestDevice()),
      engine_backend(device == TestDevice::kCpu ? nullptr : OpenTestDevice()),
      pool(options.blocks, options.block_tokens) {
  BaseWeights::Sources sources;
  sources.checkpoint = checkpoint.checkpoint;
  sources.config_json = checkpoint.checkpoint->config_json();
  sources.digest = checkpoint.hashed.BaseDigest();
  sources.blobs = checkpoint.blobs;
  sources.file = [this](std::string_view path) -> Result<std::string> {
    return checkpoint.File(path);
  };
  base = BaseWeights::Open(*backend, sources).value();
  plain = TenantWeights::OfBase(base).value();
  engine =
      ServeEngine::Create(base, options, engine_backend == nullptr ? *backend : *engine_backend)
          .value();
}

std::shared_ptr<const TenantWeights> TestEngine::Open(const TestDelta& delta) const {
  if (backend->host_memory()) return TenantWeights::Open(base, delta.reader).value();
  const ConstBytes file = delta.reader->file()->View();
  const auto memory = std::make_shared<ops::Buffer<std::byte>>(*backend, file.size());
  std::vector<Digest> chunks;
  for (size_t at = 0; at < file.size(); at += kChunkBytes) {
    chunks.push_back(Sha256::Of(file.subspan(at, std::min(kChunkBytes, file.size() - at))));
  }
  const auto image = MakeDeviceImage(*backend, file, memory->data(), memory, chunks).value();
  const uint64_t before = MemoryOf(*backend).free;
  auto weights = TenantWeights::Open(base, delta.reader, image).value();
  if (!TestDeviceIsReal()) {  // which counts in pages
    EXPECT_EQ(before - MemoryOf(*backend).free, weights->device_bytes());
  }
  EXPECT_NEAR(TenantWeights::ExpectedDeviceBytes(*plain, *delta.reader).value(),
              weights->device_bytes(), 64);
  weights->LeaveHost();
  return weights;
}

TestSequence::TestSequence(TestEngine& engine, std::shared_ptr<const TenantWeights> tenant,
                           std::vector<int32_t> prompt, int64_t capacity, const std::string& root)
    : weights(std::move(tenant)),
      blocks(engine.pool, root + std::to_string(reinterpret_cast<uintptr_t>(weights.get()))),
      tokens(std::move(prompt)) {
  computed = blocks.Begin(tokens, capacity).value();
  logits.resize(static_cast<size_t>(computed));
}

SequenceStep TestSequence::Next(int64_t count) const {
  SequenceStep step;
  step.weights = weights.get();
  step.tokens =
      std::span(tokens).subspan(static_cast<size_t>(computed), static_cast<size_t>(count));
  step.position = computed;
  step.blocks = blocks.table();
  step.logits_from = 0;
  return step;
}

void TestSequence::TakeGreedy() {
  const std::vector<float>& row = logits.back();
  tokens.push_back(static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin()));
}

void StepAll(TestEngine& engine, const std::vector<TestSequence*>& sequences,
             const std::vector<int64_t>& counts) {
  std::vector<SequenceStep> steps;
  for (size_t i = 0; i < sequences.size(); ++i) steps.push_back(sequences[i]->Next(counts[i]));
  const auto rows = engine.engine->Step(steps).value();
  size_t at = 0;
  for (size_t i = 0; i < sequences.size(); ++i) {
    TestSequence& sequence = *sequences[i];
    for (int64_t t = 0; t < counts[i]; ++t, ++at) {
      sequence.logits.emplace_back(rows[at].begin(), rows[at].end());
    }
    sequence.computed += counts[i];
    sequence.blocks.Filled(
        std::span(sequence.tokens).first(static_cast<size_t>(sequence.computed)));
  }
  ASSERT_EQ(at, rows.size());
}

std::vector<int32_t> GreedyAlone(TestEngine& engine,
                                 const std::shared_ptr<const TenantWeights>& tenant,
                                 const std::vector<int32_t>& prompt, int64_t count) {
  const auto size = static_cast<int64_t>(prompt.size());
  TestSequence sequence(engine, tenant, prompt, size + count);
  for (int64_t i = 0; i < count; ++i) {
    StepAll(engine, {&sequence},
            {static_cast<int64_t>(sequence.tokens.size()) - sequence.computed});
    sequence.TakeGreedy();
  }
  return {sequence.tokens.begin() + size, sequence.tokens.end()};
}

}  // namespace signum
